//! The page of `vtbuild graph --html` and of `vtbuild run --ui`, looked at in a real browser: it loads without a complaint and without a request, finds,
//! shows what is clicked, and stays usable with ten thousand actions.

mod support;

use std::fs;
use std::time::Instant;

use camino::Utf8PathBuf;
use serde_json::Value;
use support::chromium::{Chromium, say};
use support::provider::BARE;
use support::{Sandbox, until};

/// A sandbox in which one test passed, one failed, and a parameter of a third has changed since.
fn lived_in() -> Sandbox {
    let sandbox = Sandbox::new();
    let ran = sandbox
        .run("//selftest.pass,selftest.fail,selftest.first")
        .exit(1);
    assert!(
        ran.stdout().contains("PASS 2 | ERROR 0 | FAIL 1"),
        "{}",
        ran.stdout()
    );
    sandbox.write(
        "vtbuild.toml",
        "config = \"\"\"\nselftest.first:\n    kill_timeout = 61\n\"\"\"\n",
    );
    sandbox
}

/// Opens the page of some actions; none, after saying so, where there is no browser.
fn page(sandbox: &Sandbox, words: &str) -> Option<Chromium> {
    let browser = Chromium::start();
    let written = sandbox
        .run(&format!("graph {words} --accel tcg --html graph.html"))
        .exit(0);
    assert!(written.stderr().contains("graph.html: "), "{}", written.stderr());
    let mut browser = browser?;
    browser.open(&sandbox.path("graph.html"));
    Some(browser)
}

/// Keeps a picture for people to look at.
fn picture(browser: &mut Chromium, name: &str) {
    let shot = browser.screenshot();
    let path = Utf8PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, &shot).unwrap();
    say(&format!("picture: {path}"));
    assert!(
        shot.starts_with(b"\x89PNG") && shot.len() > 20_000,
        "{} bytes",
        shot.len()
    );
}

/// The page complained about nothing, and asked nobody for anything.
#[track_caller]
fn quiet(browser: &Chromium) {
    asks_only(browser, "file:");
}

/// The page complained about nothing, and asked nobody for anything but what begins so.
#[track_caller]
fn asks_only(browser: &Chromium, own: &str) {
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let outside = |url: &String| !url.starts_with(own) && !url.starts_with("data:") && url != "about:blank";
    assert_eq!(
        browser.requests().into_iter().filter(outside).collect::<Vec<_>>(),
        Vec::<String>::new()
    );
}

fn text(browser: &mut Chromium, id: &str) -> String {
    let value = browser.value(&format!("document.getElementById('{id}').innerText"));
    value.as_str().unwrap().to_owned()
}

fn click_on(browser: &mut Chromium, title: &str) {
    let place = browser.value(&format!("graphPage.place('{title}')"));
    let at = |axis: &str| {
        place[axis]
            .as_f64()
            .unwrap_or_else(|| panic!("{title} is not drawn: {place}"))
    };
    browser.click(at("x"), at("y"));
}

#[test]
fn a_click_tells_why_and_a_search_finds() {
    let sandbox = lived_in();
    let Some(mut browser) = page(
        &sandbox,
        "//selftest.pass,selftest.fail,selftest.first,selftest.second",
    ) else {
        return;
    };
    assert_eq!(browser.value("graphPage.drawn()"), 4);
    quiet(&browser);

    click_on(&mut browser, "bundled.selftest.fail");
    assert_eq!(browser.value("graphPage.chosen()"), "bundled.selftest.fail");
    let panel = text(&mut browser, "panel");
    for told in ["Would run: ", "In the last job: FAIL, ran for", "last: FAIL"] {
        assert!(panel.contains(told), "{told} is not in {panel}");
    }
    picture(&mut browser, "graph-panel.png");

    browser.key("/");
    browser.write("second test");
    assert!(text(&mut browser, "found").contains("bundled.selftest.second"));
    browser.key("Enter");
    assert_eq!(browser.value("graphPage.chosen()"), "bundled.selftest.second");
    browser.value("document.getElementById('canvas').focus()");
    browser.key("ArrowLeft");
    assert_eq!(browser.value("graphPage.chosen()"), "bundled.selftest.first");
    browser.key("Escape");
    assert_eq!(browser.value("graphPage.chosen()"), Value::Null);

    let choose_mode = "(() => { const mode = document.getElementById('mode'); mode.value = 'last'; mode.dispatchEvent(new Event('change')); })()";
    browser.value(choose_mode);
    assert!(text(&mut browser, "legend").contains("✗ failed"));
    picture(&mut browser, "graph-verdicts.png");
    quiet(&browser);
}

#[test]
fn parameters_are_told_with_who_set_them() {
    let sandbox = lived_in();
    let Some(mut browser) = page(&sandbox, "//selftest.first") else {
        return;
    };
    browser.call(
        "Emulation.setEmulatedMedia",
        &serde_json::json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] }),
    );
    click_on(&mut browser, "bundled.selftest.first");
    browser.value("document.querySelectorAll('#panel details').forEach((it) => { it.open = true; })");
    let filled = "new Promise((done) => setTimeout(done, 300))";
    browser.value(filled);
    let panel = text(&mut browser, "panel");
    for told in [
        "kill_timeout",
        "config in vtbuild.toml, line 2: kill_timeout = 61",
    ] {
        assert!(panel.contains(told), "{told} is not in {panel}");
    }
    picture(&mut browser, "graph-dark.png");

    // In a small window nothing hangs over its edges, and the legend is there.
    let small = serde_json::json!({ "width": 800, "height": 600, "deviceScaleFactor": 1, "mobile": false });
    browser.call("Emulation.setDeviceMetricsOverride", &small);
    browser.value(filled);
    let over = browser.value(
        "[...document.querySelectorAll('header, #sum, #canvas, #legend, #panel')].filter((it) => {
            const { right, bottom, height } = it.getBoundingClientRect();
            return right > innerWidth || bottom > innerHeight || height === 0;
        }).map((it) => it.id || it.tagName).join(' ')",
    );
    assert_eq!(over, "");
    picture(&mut browser, "graph-small.png");
    quiet(&browser);
}

#[test]
fn a_label_cannot_become_markup() {
    let sandbox = Sandbox::new();
    let evil = "</script><img src=x onerror=alert(1)>";
    sandbox.write("vtbuild.toml", &format!("[params]\nevil = \"{evil}\"\n"));
    let Some(mut browser) = page(&sandbox, "//selftest.pass") else {
        return;
    };
    click_on(&mut browser, "bundled.selftest.pass");
    browser.value("document.querySelectorAll('#panel details').forEach((it) => { it.open = true; })");
    browser.value("new Promise((done) => setTimeout(done, 300))");
    assert!(text(&mut browser, "panel").contains(evil));
    assert_eq!(browser.value("document.images.length"), 0);
    quiet(&browser);
}

#[test]
fn ten_thousand_actions_are_drawn_in_groups_that_open() {
    let sandbox = Sandbox::new();
    let block = |name: &str| {
        let labels: String = (0..19)
            .map(|n| format!("    - {name}{n}:\n        {name} = {n}\n"))
            .collect();
        format!("variants {name}:\n{labels}")
    };
    let config = format!("config = \"\"\"\n{}{}\"\"\"\n", block("speed"), block("size"));
    sandbox.write("vtbuild.toml", &config);
    let Some(mut browser) = page(&sandbox, "//... --all") else {
        return;
    };
    let sum = text(&mut browser, "sum");
    let actions: u32 = sum.split(' ').next().unwrap().parse().unwrap();
    assert!((9_000..=11_000).contains(&actions), "{sum}");
    let drawn = |browser: &mut Chromium| browser.value("graphPage.drawn()").as_u64().unwrap();
    let closed = drawn(&mut browser);
    assert!(closed < 100, "{closed} elements are drawn at first");
    picture(&mut browser, "graph-groups.png");

    browser.key("/");
    browser.write("migrate.default.tcp speed7 size11");
    browser.key("Enter");
    let chosen = browser.value("graphPage.chosen()");
    assert!(
        chosen.as_str().is_some_and(|title| title.contains("speed7")),
        "{chosen}"
    );
    assert!(drawn(&mut browser) > closed);
    picture(&mut browser, "graph-opened.png");

    browser.key("c");
    let axes = browser.value("[...document.getElementById('axis').options].map((it) => it.value).join(' ')");
    assert!(axes.as_str().unwrap().contains("size speed"), "{axes}");

    let start = Instant::now();
    browser.value(
        "(() => { const axis = document.getElementById('axis'); axis.value = ''; axis.dispatchEvent(new Event('change')); })()",
    );
    assert_eq!(drawn(&mut browser), u64::from(actions), "all of them, one by one");
    say(&format!(
        "{actions} actions one by one: {:.1} s",
        start.elapsed().as_secs_f64()
    ));
    let start = Instant::now();
    browser.key("+");
    picture(&mut browser, "graph-all.png");
    say(&format!(
        "zoom and picture: {:.1} s",
        start.elapsed().as_secs_f64()
    ));
    quiet(&browser);
}

/// Waits until there is a file of the name that it is told, and then ends as it is told.
const GATE: &str = "import os\nimport time\n\n\ndef run(test, params, env):\n    while not os.path.exists(params['gate']):\n        time.sleep(0.05)\n    if params['outcome'] == 'fail':\n        test.fail('as asked')\n";

#[test]
fn a_run_is_followed_from_its_first_test_to_its_end() {
    let sandbox = Sandbox::new();
    let gate = sandbox.root().join("gate");
    let test = |name: &str, outcome: &str, gate: &str| {
        format!("        - {name}:\n            outcome = {outcome}\n            gate = {gate}\n")
    };
    let tests = [
        test("known", "pass", "/"),
        test("waits", "pass", gate.as_str()),
        test("fails", "fail", gate.as_str()),
    ];
    sandbox.provide(&format!(
        "- gate:\n    type = gate\n{BARE}    variants:\n{}",
        tests.concat()
    ));
    sandbox.write("mine/generic/tests/gate.py", GATE);
    sandbox.run("//known --progress plain").exit(0).ran();
    let browser = Chromium::start();

    let run = sandbox.start("run //... --ui --jobs 1 --progress plain");
    run.says_after(0, "JOB ID");
    let printed = run.stdout();
    let url = printed
        .lines()
        .find_map(|line| line.strip_prefix("PAGE       : "));
    let url = url.unwrap_or_else(|| panic!("no page: {printed}")).to_owned();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let Some(mut browser) = browser else {
        std::fs::write(&gate, "").unwrap();
        run.wait().exit(1).stdout();
        return;
    };
    browser.visit(&url);
    let state = |browser: &mut Chromium, name: &str| {
        let told = browser.value(&format!("graphPage.state('mine.gate.{name}')"));
        told[0].as_str().unwrap_or_default().to_owned()
    };
    until(60, "a test runs", || {
        (state(&mut browser, "waits") == "running").then_some(())
    });
    assert_eq!(
        [state(&mut browser, "known"), state(&mut browser, "fails")],
        ["cached", "queued"]
    );
    assert!(text(&mut browser, "run").contains("1 of 3 tests done, 1 running"));
    click_on(&mut browser, "mine.gate.waits");
    assert!(text(&mut browser, "panel").contains("Runs for "));
    picture(&mut browser, "run-running.png");

    std::fs::write(&gate, "").unwrap();
    until(60, "the page says that the run is over", || {
        text(&mut browser, "run")
            .starts_with("the run is over")
            .then_some(())
    });
    let over = text(&mut browser, "run");
    assert!(over.contains("PASS 2 | ERROR 0 | FAIL 1"), "{over}");
    run.wait().exit(1).stdout();
    assert_eq!(
        [state(&mut browser, "waits"), state(&mut browser, "fails")],
        ["PASS", "FAIL"]
    );
    let label = browser.value("graphPage.state('mine.gate.fails')[1]");
    assert!(label.as_str().unwrap().starts_with("✗ FAIL "), "{label}");

    // Nobody serves it any more, and it can still be read.
    click_on(&mut browser, "mine.gate.fails");
    let panel = text(&mut browser, "panel");
    assert!(
        panel.contains("FAIL after ") && panel.contains("as asked"),
        "{panel}"
    );
    picture(&mut browser, "run-over.png");
    asks_only(&browser, &url);
}
