//! `browser`: the pages of `cifar report` and `cifar compare` in a real browser.
//!
//! The run is named like an attack on the page, so that whatever is not escaped shows.

mod devtools;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use self::devtools::Browser;
pub(crate) use self::devtools::chromium;
use crate::cifar::{Cifar, scratch, text};

/// A narrow telephone and a desktop.
const WIDTHS: [(u32, u32); 2] = [(360, 780), (1280, 900)];
const SCHEMES: [&str; 2] = ["light", "dark"];

/// Largest page, in bytes.
const MAX_BYTES: usize = 5_000_000;

/// Optimiser steps of the run that is reported on.
const STEPS: &str = "200";

/// A recipe's name that breaks out of every place that is not escaped.
const NAME: &str =
    r#"</title></script><script>window.intruder=1</script>"'><img src=x onerror=intruder=1>"#;

const PROBE: &str = include_str!("browser/probe.js");

/// Said where there is no browser.
pub(crate) const SKIPPED: &str =
    "skipped: Chromium is not installed (on Debian: apt-get install chromium)";

pub(crate) fn run() -> Result<()> {
    let Some(program) = chromium() else {
        println!("{SKIPPED}");
        return Ok(());
    };
    let folder = scratch("browser")?;
    let (report, comparison) = pages(&folder)?;
    let profile = folder.join("profile");
    fs::create_dir(&profile).context("make a folder for the browser")?;
    let mut browser = Browser::start(program, &profile)?;
    for (width, height) in WIDTHS {
        for scheme in SCHEMES {
            let name = format!("{width}-{scheme}");
            browser.open(&report, width, height, scheme)?;
            browser.evaluate(PROBE)?;
            let seen = check_report(&mut browser, &folder, &name)
                .with_context(|| format!("{} at {width} px, {scheme}", report.display()))?;
            println!("report at {width} px, {scheme}: {seen}");

            browser.open(&comparison, width, height, scheme)?;
            browser.evaluate(PROBE)?;
            check_page(&mut browser)
                .and_then(|_| shoot(&mut browser, &folder, &format!("compare-{name}"), true))
                .with_context(|| format!("{} at {width} px, {scheme}", comparison.display()))?;
        }
    }
    println!("pictures of the pages: {}", folder.display());
    Ok(())
}

/// Trains a little and writes both pages.
fn pages(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let cifar = Cifar::build_for_checks()?;
    cifar.run(&["data", "fetch"])?;
    let runs = ["first", "second"].map(|name| folder.join(name));
    for (seed, run) in ["0", "1"].iter().zip(&runs) {
        cifar.run_silently(&[
            "train",
            "--recipe=simplenet",
            &format!("--set=name={NAME}"),
            "--seed",
            seed,
            "--max-steps",
            STEPS,
            "--no-tensorboard",
            "--out",
            text(run)?,
        ])?;
    }
    let report = cifar.json(&["report", text(&runs[0])?])?;
    ensure!(report["missing"].as_array().is_some_and(Vec::is_empty), "missing: {report}");
    let page = PathBuf::from(report["file"].as_str().context("no file in the report")?);
    let bytes = fs::read(&page).with_context(|| format!("read {}", page.display()))?.len();
    ensure!(bytes < MAX_BYTES, "{} has {bytes} bytes, expected under {MAX_BYTES}", page.display());
    let comparison = folder.join("compare.html");
    cifar.run(&["compare", text(&runs[0])?, text(&runs[1])?, "--out", text(&comparison)?])?;
    Ok((page, comparison))
}

/// What holds for every page: nothing complained, nothing asked for, nothing too wide, everything
/// named, and curves that can be read.
fn check_page(browser: &mut Browser) -> Result<Value> {
    let overflow = browser.evaluate("probe.overflow()")?;
    ensure!(overflow.as_f64().is_some_and(|more| more <= 0.0), "{overflow} px too wide");
    let drawings = browser.evaluate("probe.drawings()")?;
    ensure!(is_empty(&drawings["bad"]), "drawings: {drawings}");
    let unnamed = browser.evaluate("probe.unnamed()")?;
    ensure!(is_empty(&unnamed), "controls without a name: {unnamed}");
    check_reading(browser)?;
    let intruder = browser.evaluate("window.intruder ?? null")?;
    ensure!(intruder.is_null(), "a recipe's name ran as a script");
    ensure!(browser.complaints().is_empty(), "the page complained: {:#?}", browser.complaints());
    Ok(drawings["drawings"].clone())
}

/// Curves tell their values under the pointer and to the arrow keys.
fn check_reading(browser: &mut Browser) -> Result<()> {
    let reading = "document.querySelector('.reading').textContent";
    let (x, y) = middle(browser, ".plot")?;
    browser.point(x, y, false)?;
    let under_pointer = browser.evaluate(reading)?.as_str().unwrap_or_default().to_owned();
    ensure!(
        under_pointer.contains("optimiser steps: ") && under_pointer.contains("loss (nats)"),
        "under the pointer the curves read `{under_pointer}`"
    );
    browser.point(0.0, 0.0, false)?;
    browser.evaluate("document.querySelector('.plot').focus()")?;
    browser.press("ArrowRight")?;
    let by_key = browser.evaluate(reading)?;
    ensure!(by_key.as_str().is_some_and(|text| text.starts_with("optimiser steps: 1")), "{by_key}");
    browser.evaluate("document.activeElement.blur()")?;
    Ok(())
}

fn check_report(browser: &mut Browser, folder: &Path, name: &str) -> Result<String> {
    let drawings = check_page(browser)?;
    let pictures = browser.evaluate("probe.pictures()")?;
    ensure!(is_empty(&pictures["broken"]), "broken pictures: {}", pictures["broken"]);
    let n_views = pictures["views"].as_u64().unwrap_or_default();
    ensure!(n_views > 100, "only {n_views} pictures on the page");
    browser.evaluate("scrollTo(0, 0)")?;
    shoot(browser, folder, name, true)?;
    check_cell(browser, folder, name)?;
    ensure!(browser.complaints().is_empty(), "the page complained: {:#?}", browser.complaints());
    Ok(format!("{drawings} drawings, {n_views} pictures on {} sheets", pictures["sheets"]))
}

/// A cell of the confusion matrix opens its pictures; Escape closes them.
fn check_cell(browser: &mut Browser, folder: &Path, name: &str) -> Result<()> {
    let cell = "[...document.querySelectorAll('.matrix button.cell')]
        .filter((cell) => !/-(\\d+)-\\1$/.test(cell.dataset.opens))
        .reduce((a, b) => Number(b.textContent) > Number(a.textContent) ? b : a).dataset.opens";
    let id = browser.evaluate(cell)?;
    let id = id.as_str().context("no cell with pictures")?;
    let selector = format!(".matrix [data-opens='{id}']");
    let (x, y) = middle(browser, &selector)?;
    browser.point(x, y, true)?;
    let dialog = browser.evaluate("probe.dialog()")?;
    ensure!(dialog["open"] == true, "a click on {id} opened nothing");
    ensure!(dialog["views"].as_u64() > Some(0), "{id} opened no pictures: {dialog}");
    let title = dialog["title"].as_str().unwrap_or_default();
    ensure!(title.contains(" taken for "), "the title of {id} is `{title}`");
    shoot(browser, folder, &format!("{name}-dialog"), false)?;
    browser.press("Escape")?;
    let closed = browser.evaluate("probe.dialog()")?;
    ensure!(closed["open"] == false, "Escape left the pictures open");
    let focus = browser.evaluate("probe.focus()")?;
    ensure!(focus["opens"] == id, "closed, the focus is not on {id} but {focus}");

    // By keyboard alone: to the next cell, open, close.
    browser.press("ArrowDown")?;
    let focus = browser.evaluate("probe.focus()")?;
    ensure!(focus["opens"] != id && focus["tag"] == "BUTTON", "an arrow key led to {focus}");
    ensure!(focus["outline"] == true, "the focus cannot be seen: {focus}");
    browser.press("Enter")?;
    ensure!(browser.evaluate("probe.dialog()")?["open"] == true, "Enter opened nothing");
    browser.press("Escape")?;
    ensure!(browser.evaluate("probe.dialog()")?["open"] == false, "Escape closed nothing");
    Ok(())
}

fn middle(browser: &mut Browser, selector: &str) -> Result<(f64, f64)> {
    let place = browser.evaluate(&format!("probe.middle({})", serde_json::to_string(selector)?))?;
    let coordinate = |index: usize| place[index].as_f64().context("no such element");
    Ok((coordinate(0)?, coordinate(1)?))
}

fn is_empty(list: &Value) -> bool {
    list.as_array().is_some_and(Vec::is_empty)
}

fn shoot(browser: &mut Browser, folder: &Path, name: &str, whole: bool) -> Result<()> {
    let png = STANDARD.decode(browser.screenshot(whole)?).context("decode a picture")?;
    let path = folder.join(format!("{name}.png"));
    fs::write(&path, png).with_context(|| format!("write {}", path.display()))
}
