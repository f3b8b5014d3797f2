use std::fs;

use super::*;

/// What the rules find in a folder that holds `files`.
fn findings(files: &[(&str, &str)], long_files: &[(&str, &str)]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let names: Vec<PathBuf> = files.iter().map(|(name, _)| name.into()).collect();
    check(dir.path(), &names, long_files).unwrap().iter().map(ToString::to_string).collect()
}

fn only(files: &[(&str, &str)]) -> String {
    let found = findings(files, &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

#[test]
fn a_long_file_is_found_and_its_tests_do_not_count() {
    let code = "fn f() {}\n".repeat(501);
    let found = only(&[("a/src/long.rs", &code)]);
    assert!(found.starts_with("a/src/long.rs:501: 501 lines"), "{found}");

    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn f() {}\n".repeat(600));
    assert!(findings(&[("a/src/short.rs", &tests), ("a/src/b/tests.rs", &code)], &[]).is_empty());
}

#[test]
fn the_list_of_long_files_excuses_and_does_not_outlive_its_reason() {
    let code = "fn f() {}\n".repeat(501);
    assert!(findings(&[("long.rs", &code)], &[("long.rs", "one table")]).is_empty());
    let found = findings(
        &[("long.rs", "fn f() {}\n")],
        &[("long.rs", "one table"), ("gone.rs", "was long")],
    );
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("long no more") && found[1].starts_with("gone.rs:1:"), "{found:?}");
}

#[test]
fn names_that_say_nothing_are_found_as_files_and_folders() {
    for path in ["a/src/utils.rs", "a/helpers/x.rs", "Common/x.md", "a/misc.py"] {
        assert!(only(&[(path, "")]).contains("says nothing"), "{path}");
    }
    assert!(findings(&[("a/src/utility_function_of_money.rs", "")], &[]).is_empty());
}

#[test]
fn unsafe_is_found_as_code_and_outside_its_two_places() {
    let code = "// unsafe in words\nfn f() {\n    unsafe { g() }\n}\n";
    let found = only(&[("crates/cifar-net/src/a.rs", code)]);
    assert!(found.starts_with("crates/cifar-net/src/a.rs:3: `unsafe`"), "{found}");
    let allowed =
        [("crates/cifar-kernels/src/a.rs", code), ("crates/cifar-ops/src/cuda/b.rs", code)];
    assert!(findings(&allowed, &[]).is_empty());
    assert_eq!(findings(&[("crates/cifar-ops/src/conv.rs", code)], &[]).len(), 1);
}

#[test]
fn only_programs_and_tests_read_the_environment() {
    let code = "use std::env;\nfn f() { env::var(\"A\"); }\n#[cfg(test)]\nmod tests {\n    use std::env;\n}\n";
    let found = findings(&[("crates/cifar-data/src/a.rs", code)], &[]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("crates/cifar-data/src/a.rs:1: reads the environment"),
        "{found:?}"
    );
    for program in ["crates/cifar-cli/src/a.rs", "xtask/src/a.rs", "crates/cifar-ops/examples/a.rs"]
    {
        assert!(findings(&[(program, code)], &[]).is_empty(), "{program}");
    }
}

#[test]
fn large_files_are_found() {
    let large = "x\n".repeat((1 << 19) + 1);
    assert!(only(&[("models/weights.txt", &large)]).contains("files over 1 MiB"));
    assert!(findings(&[("models/weights.safetensors", &large)], &[]).is_empty());
    let larger = large.repeat(5);
    assert!(only(&[("models/weights.safetensors", &larger)]).contains("weights over 5 MiB"));
}

#[test]
fn hosts_private_paths_and_unfinished_work_are_found_in_any_text() {
    let host = ["pypi", "org"].join(".");
    let lines = format!(
        "a\nsee https://{host}/x\n\"/{}/me/data\"\n# {}: later\n",
        "home",
        ["TO", "DO"].concat()
    );
    let found = findings(&[("docs/a.md", &lines)], &[]);
    let starts: Vec<_> = found.iter().map(|f| f.split_once(": ").unwrap().0).collect();
    assert_eq!(starts, ["docs/a.md:2", "docs/a.md:3", "docs/a.md:4"], "{found:?}");
}

#[test]
fn words_and_paths_that_only_look_alike_pass() {
    let lines = "target/tmp/x\n~/work/data\n$DIR/root/x\nTODOS are fine, mastodo! is not\nhttps://example.com/home/\n";
    assert!(findings(&[("docs/a.md", lines)], &[]).is_empty());
}

#[test]
fn links_and_pictures_that_lead_nowhere_are_found() {
    let page = "[a](b.md) [c](b.md#part) ![d](images/e.png) [f](.)\n\
                [g](gone.md) and `[h](gone.md)`\n\
                ```text\n[i](gone.md)\n```\n\
                ![j](../images/e.png \"title\")\n\
                [k](../README.md) [l](../../x) [m](https://example.com/x) [n](#part)\n";
    let files = [("docs/a.md", page), ("docs/b.md", ""), ("docs/images/e.png", "")];
    let found = findings(&[&files[..], &[("README.md", "[a](docs/a.md)")]].concat(), &[]);
    let expected = [
        "docs/a.md:2: links to gone.md, which is not in the workspace",
        "docs/a.md:6: links to ../images/e.png, which is not in the workspace",
        "docs/a.md:7: links to ../README.md, which is not in the book",
        "docs/a.md:7: links to ../../x, outside of the workspace",
    ];
    assert_eq!(found, expected);
}
