//! The language server, through a client that speaks the protocol with the real program.

#[path = "lsp/asks.rs"]
mod asks;
#[path = "lsp/editor.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod editor;
mod support;

use asks::{GUESTS, MAIN, code, definitions, edited, files, hover, names, proposals, rename_params, renamed};
use editor::{Editor, place, position, range, uri};
use lsp_types::request::{DocumentSymbolRequest, PrepareRenameRequest, References};
use lsp_types::{
    DocumentSymbol, DocumentSymbolParams, DocumentSymbolResponse, Location, Position, Range,
    ReferenceContext, ReferenceParams, TextDocumentIdentifier,
};
use serde_json::{Value, json};
use support::Sandbox;

#[test]
fn the_conversation_begins_and_ends_as_the_protocol_wants() {
    let (sandbox, main, _) = files();
    let mut editor = Editor::start(&sandbox);
    let early = editor.ask("textDocument/hover", json!({})).unwrap_err();
    assert_eq!(early["code"], -32002, "{early}");
    let answer = editor.initialize(&sandbox, json!({}));
    assert_eq!(
        answer["capabilities"]["textDocumentSync"]["change"], 2,
        "{answer}"
    );
    let twice = editor
        .ask("initialize", json!({ "capabilities": {} }))
        .unwrap_err();
    assert_eq!(twice["code"], -32600, "{twice}");
    let unknown = editor.ask("textDocument/implementation", json!({})).unwrap_err();
    assert_eq!(unknown["code"], -32601, "{unknown}");
    let wrong = editor
        .ask("textDocument/hover", json!({ "textDocument": 7 }))
        .unwrap_err();
    assert_eq!(wrong["code"], -32602, "{wrong}");
    let absent = serde_json::to_value(place(&main.with_file_name("none.cfg"), Position::new(0, 0))).unwrap();
    let absent = editor.ask("textDocument/hover", absent).unwrap_err();
    assert!(
        absent["message"].as_str().unwrap().contains("none.cfg"),
        "{absent}"
    );
    // Nothing of this is a reason to stop.
    editor.tell("$/cancelRequest", json!({ "id": 1 }));
    editor.tell("textDocument/didChange", json!({ "unheard": "of" }));
    assert_eq!(editor.ask("shutdown", Value::Null).unwrap(), Value::Null);
    let late = editor.ask("shutdown", Value::Null).unwrap_err();
    assert_eq!(late["code"], -32600, "{late}");
    editor.tell("exit", Value::Null);
    assert_eq!(editor.end().code(), Some(0));
}

#[test]
fn leaving_without_a_word_is_a_failure() {
    let (sandbox, ..) = files();
    let mut editor = Editor::open_workspace(&sandbox);
    editor.tell("exit", Value::Null);
    assert_eq!(editor.end().code(), Some(1));
    assert_eq!(
        Editor::open_workspace(&sandbox).end().code(),
        Some(1),
        "the input was closed"
    );
    Editor::open_workspace(&sandbox).quit();
    let mut editor = Editor::start(&sandbox);
    editor.raw(b"Content-Length: 5\r\n\r\nhello");
    assert_eq!(editor.end().code(), Some(5), "no JSON");
}

#[test]
fn mistakes_are_shown_as_they_are_typed() {
    let (sandbox, main, _) = files();
    let mut editor = Editor::open_workspace(&sandbox);
    editor.open(&main);
    assert_eq!(editor.diagnostics(&main, 1), []);
    // Two mistakes, both behind a character of two UTF-16 units, one of them on a line with tabs.
    let end = Position::new(11, 0);
    editor.change(&main, 2, Range::new(end, end), "\t\tonly 𝄞a, ö/b\nx = 1\nk𝄞 k\n");
    let found = editor.diagnostics(&main, 2);
    let shown: Vec<_> = found.iter().map(|one| (code(one), one.range.start)).collect();
    assert_eq!(
        shown,
        [
            ("unexpected-character", Position::new(11, 7)),
            ("unexpected-character", Position::new(13, 1)),
        ]
    );
    assert_eq!(found[0].range.end, Position::new(11, 9), "{found:?}");
    assert!(found[0].message.contains("help: "), "{}", found[0].message);
    // What is on disk is untouched, and a correction in the buffer is enough.
    editor.change(&main, 3, Range::new(end, Position::new(14, 0)), "");
    assert_eq!(editor.diagnostics(&main, 3), []);
    assert_eq!(sandbox.read("own/main.cfg"), MAIN);
    editor.quit();
}

#[test]
fn includes_are_looked_for_in_buffers_first() {
    let (sandbox, main, guests) = files();
    let mut editor = Editor::open_workspace(&sandbox);
    editor.open(&main);
    assert_eq!(editor.diagnostics(&main, 1), []);
    // A mistake in the buffer of an included file shows in both files.
    editor.open_text(&guests, "variants guest:\n    - small:\n    oops\n");
    let own = editor.diagnostics(&guests, 1);
    assert_eq!(
        (own.len(), own[0].range),
        (1, Range::new(Position::new(2, 4), Position::new(2, 8)))
    );
    let outer = editor.diagnostics(&main, 1);
    assert_eq!(
        (outer.len(), code(&outer[0]), outer[0].range),
        (1, "included-file", range(MAIN, "include guests.cfg", 0))
    );
    let related = outer[0].related_information.as_ref().unwrap();
    assert_eq!(related[0].location, Location::new(uri(&guests), own[0].range));
    // Its correction clears both.
    editor.change(
        &guests,
        2,
        Range::new(Position::new(2, 0), Position::new(3, 0)),
        "",
    );
    assert_eq!(editor.diagnostics(&guests, 2), []);
    assert_eq!(editor.diagnostics(&main, 1), []);
    // Absent files, folders, and circles.
    let start = Position::new(0, 0);
    editor.change(
        &main,
        2,
        Range::new(start, start),
        "include none.cfg\ninclude .\n",
    );
    let found = editor.diagnostics(&main, 2);
    let shown: Vec<_> = found
        .iter()
        .map(|one| (code(one), one.range.start.line))
        .collect();
    assert_eq!(shown, [("missing-include", 0), ("missing-include", 1)]);
    editor.change(
        &main,
        3,
        Range::new(start, Position::new(2, 0)),
        "include main.cfg\n",
    );
    let found = editor.diagnostics(&main, 3);
    assert_eq!((found.len(), code(&found[0])), (1, "include-cycle"), "{found:?}");
    editor.quit();
}

#[test]
fn changes_by_other_hands_are_noticed() {
    let (sandbox, main, guests) = files();
    let mut editor = Editor::start(&sandbox);
    let watching = json!({ "workspace": { "didChangeWatchedFiles": { "dynamicRegistration": true } } });
    editor.initialize(&sandbox, watching);
    let asked = editor.wait("a registration", |message| {
        message["method"] == "client/registerCapability"
    });
    let registration = &asked["params"]["registrations"][0];
    assert_eq!(registration["method"], "workspace/didChangeWatchedFiles");
    assert_eq!(
        registration["registerOptions"]["watchers"][0]["globPattern"],
        "**/*.cfg"
    );
    editor.answer(&asked["id"]);
    editor.open(&main);
    assert_eq!(editor.diagnostics(&main, 1), []);
    std::fs::remove_file(&guests).unwrap();
    let changes = json!({ "changes": [{ "uri": uri(&guests), "type": 3 }] });
    editor.tell("workspace/didChangeWatchedFiles", changes);
    let found = editor.diagnostics(&main, 1);
    assert_eq!((found.len(), code(&found[0])), (1, "missing-include"));
    // A workspace that makes no sense is told of, and costs nothing but the configuration set.
    sandbox.write("vtbuild.toml", "what = 1\n");
    let toml = sandbox.path("vtbuild.toml");
    editor.tell(
        "workspace/didChangeWatchedFiles",
        json!({ "changes": [{ "uri": uri(&toml), "type": 2 }] }),
    );
    let warned = editor.wait("a warning", |message| message["method"] == "window/logMessage");
    assert!(
        warned["params"]["message"]
            .as_str()
            .unwrap()
            .contains("vtbuild.toml"),
        "{warned}"
    );
    assert_eq!(code(&editor.diagnostics(&main, 1)[0]), "missing-include");
    editor.quit();
}

#[test]
fn definitions_of_keys_variants_and_files() {
    let (sandbox, main, guests) = files();
    let mut editor = Editor::open_workspace(&sandbox);
    editor.open(&main);
    let at = |text, word, n| position(text, word, n, 1);
    let found = definitions(&mut editor, &main, at(MAIN, "image_name", 2));
    let expected = [0, 1].map(|n| Location::new(uri(&main), range(MAIN, "image_name", n)));
    assert_eq!(found, expected, "the assignments that a `${{key}}` can mean");
    // Behind a character of two UTF-16 units; all that makes the key, in every file.
    let found = definitions(&mut editor, &main, at(MAIN, "kill_vm", 1));
    assert_eq!(found, [Location::new(uri(&main), range(MAIN, "kill_vm", 0))]);
    let found = definitions(&mut editor, &main, at(MAIN, "mem", 0));
    let inside = |n| Location::new(uri(&guests), range(GUESTS, "mem", n));
    let mut bound = inside(3);
    bound.range.end.character += "_max".len() as u32;
    assert_eq!(
        found,
        [
            Location::new(uri(&main), range(MAIN, "mem", 0)),
            inside(0),
            inside(2),
            bound
        ]
    );
    // A label in a filter, in a condition, in a dependency; a variable in a filter.
    let found = definitions(&mut editor, &main, at(MAIN, "small", 0));
    assert_eq!(found, [Location::new(uri(&guests), range(GUESTS, "small", 1))]);
    let found = definitions(&mut editor, &main, at(MAIN, "Größe", 0));
    assert_eq!(found, [Location::new(uri(&guests), range(GUESTS, "Größe", 0))]);
    let found = definitions(&mut editor, &main, at(MAIN, "boot", 1));
    assert_eq!(found, [Location::new(uri(&main), range(MAIN, "boot", 0))]);
    let found = definitions(&mut editor, &main, position(MAIN, "(guest", 0, 2));
    assert_eq!(found, [Location::new(uri(&guests), range(GUESTS, "guest", 0))]);
    let found = definitions(&mut editor, &main, at(MAIN, "guests.cfg", 0));
    assert_eq!(found[0].uri, uri(&guests));
    assert_eq!(definitions(&mut editor, &main, at(MAIN, "5", 0)), []);
    let params = ReferenceParams {
        text_document_position: place(&main, at(MAIN, "small", 0)),
        context: ReferenceContext {
            include_declaration: false,
        },
        work_done_progress_params: Default::default(),
        partial_result_params: Default::default(),
    };
    let found = editor.request::<References>(params).unwrap();
    let uses = [0, 2].map(|n| Location::new(uri(&guests), range(GUESTS, "small", n)));
    let expected: Vec<_> = std::iter::once(Location::new(uri(&main), range(MAIN, "small", 0)))
        .chain(uses)
        .collect();
    assert_eq!(found, expected);
    editor.quit();
}

#[test]
fn hovering_shows_values_and_where_they_come_from() {
    let (sandbox, main, guests) = files();
    let mut editor = Editor::open_workspace(&sandbox);
    editor.open(&main);
    let (text, at) = hover(&mut editor, &main, position(MAIN, "image_name", 1, 3));
    assert_eq!(at, range(MAIN, "image_name", 1));
    // The condition holds for the variant that its label names.
    for part in [
        "`disk-𝄞no`",
        &format!("{main}:2: image_name = disk\n"),
        &format!("{main}:7: image_name = "),
        &format!("(under `Größe:` at {main}:6)"),
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
    // In an included file, by way of the file that includes it; the buffer counts.
    editor.open_text(&guests, &GUESTS.replace("512", "640"));
    let (text, _) = hover(&mut editor, &guests, position(GUESTS, "mem", 1, 1));
    for part in ["`640`", &format!("{guests}:3: mem = 640\n")] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
    let (text, _) = hover(&mut editor, &main, position(MAIN, "small", 0, 1));
    for part in [
        "variant `small`",
        &format!("`{guests}:2`"),
        "- small:\n    mem = 640\n    disk = ${mem}\n",
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
    // With a mistake in the file there are no values, but still the statements.
    let end = Position::new(11, 0);
    editor.change(&main, 2, Range::new(end, end), "oops\n");
    let (text, _) = hover(&mut editor, &main, position(MAIN, "image_name", 1, 3));
    assert!(
        text.contains("set by") && text.contains(&format!("{main}:2: image_name = disk")),
        "{text}"
    );
    editor.quit();
}

#[test]
fn keys_and_variants_are_completed() {
    let (sandbox, main, _) = files();
    let mut editor = Editor::open_workspace(&sandbox);
    editor.open(&main);
    let line = |n| Range::new(Position::new(n, 0), Position::new(n, 0));
    editor.change(&main, 2, line(11), "𝄞 = ${ima\n");
    let found = proposals(&mut editor, &main, Position::new(11, 10));
    assert!(names(&found).contains(&"image_name"), "{found:?}");
    assert_eq!(
        found[0].1,
        json!(Range::new(Position::new(11, 7), Position::new(11, 10)))
    );
    // Keys of other files, and no variants.
    editor.change(&main, 3, line(11), "x = ${\n");
    let found = proposals(&mut editor, &main, Position::new(11, 6));
    let proposed = names(&found);
    assert!(
        proposed.contains(&"disk") && proposed.contains(&"mem_max") && !proposed.contains(&"small"),
        "{proposed:?}"
    );
    // Variants in filters, dependencies and conditions; variables behind a parenthesis.
    editor.change(&main, 4, line(11), "no boot, Gr\n");
    assert_eq!(
        names(&proposals(&mut editor, &main, Position::new(11, 11))),
        ["Größe"]
    );
    editor.change(&main, 5, line(11), "    - new: mig\n");
    assert_eq!(
        names(&proposals(&mut editor, &main, Position::new(11, 14))),
        ["migrate"]
    );
    editor.change(&main, 6, line(11), "!sma\n");
    let found = proposals(&mut editor, &main, Position::new(11, 4));
    assert!(names(&found).contains(&"small"), "{found:?}");
    editor.change(&main, 7, line(11), "only (gue\n");
    assert_eq!(
        names(&proposals(&mut editor, &main, Position::new(11, 9))),
        ["guest"]
    );
    assert_eq!(
        proposals(&mut editor, &main, position(MAIN, "disk", 0, 2)),
        [],
        "a value"
    );
    editor.quit();
}

#[test]
fn the_outline_is_the_tree_of_variants() {
    let (sandbox, main, _) = files();
    let params = DocumentSymbolParams {
        text_document: TextDocumentIdentifier::new(uri(&main)),
        work_done_progress_params: Default::default(),
        partial_result_params: Default::default(),
    };
    let mut editor = Editor::open_workspace(&sandbox);
    let Some(DocumentSymbolResponse::Nested(tree)) = editor.request::<DocumentSymbolRequest>(params.clone())
    else {
        panic!("no tree");
    };
    fn shown(symbols: &[DocumentSymbol]) -> String {
        let one = |symbol: &DocumentSymbol| {
            format!("{}({})", symbol.name, shown(symbol.children.as_ref().unwrap()))
        };
        symbols.iter().map(one).collect::<Vec<_>>().join(" ")
    }
    assert_eq!(shown(&tree), "test(boot() migrate())");
    let boot = &tree[0].children.as_ref().unwrap()[0];
    assert_eq!(boot.selection_range, range(MAIN, "boot", 0));
    assert_eq!(
        (boot.range.start, boot.range.end),
        (Position::new(3, 4), range(MAIN, "${kill_vm}\"", 0).end)
    );
    editor.quit();
    let mut simple = Editor::start(&sandbox);
    simple.initialize(&sandbox, json!({}));
    let Some(DocumentSymbolResponse::Flat(list)) = simple.request::<DocumentSymbolRequest>(params) else {
        panic!("no list");
    };
    let names: Vec<_> = list.iter().map(|symbol| symbol.name.as_str()).collect();
    assert_eq!(names, ["test", "boot", "migrate"]);
    simple.quit();
}

#[test]
fn renaming_a_variant_changes_its_name_everywhere_and_nothing_else() {
    let (sandbox, main, guests) = files();
    let mut editor = Editor::open_workspace(&sandbox);
    let filter = position(MAIN, "small", 0, 2);
    let prepared = editor.request::<PrepareRenameRequest>(place(&main, filter));
    assert_eq!(serde_json::to_value(prepared).unwrap()["placeholder"], "small");
    let mut changes = renamed(&mut editor, &main, filter, "tiny");
    assert_eq!(
        edited(MAIN, changes.remove(uri(&main).as_str()).unwrap()),
        MAIN.replace("small", "tiny")
    );
    assert_eq!(
        edited(GUESTS, changes.remove(uri(&guests).as_str()).unwrap()),
        GUESTS.replace("small", "tiny")
    );
    assert!(changes.is_empty(), "{changes:?}");
    // A condition, with a name of several bytes for a character.
    let condition = position(MAIN, "Größe", 0, 1);
    let mut changes = renamed(&mut editor, &main, condition, "Maß");
    assert_eq!(
        edited(MAIN, changes.remove(uri(&main).as_str()).unwrap()),
        MAIN.replace("Größe", "Maß")
    );
    assert_eq!(
        edited(GUESTS, changes.remove(uri(&guests).as_str()).unwrap()),
        GUESTS.replace("Größe", "Maß")
    );
    for (name, why) in [
        ("big", "already"),
        ("a b", "only letters"),
        ("variants", "cannot start"),
    ] {
        let params = serde_json::to_value(rename_params(&main, filter, name)).unwrap();
        let refused = editor.ask("textDocument/rename", params).unwrap_err();
        assert!(refused["message"].as_str().unwrap().contains(why), "{refused}");
    }
    let key = serde_json::to_value(place(&main, position(MAIN, "image_name", 0, 2))).unwrap();
    editor.ask("textDocument/prepareRename", key).unwrap_err();
    editor.quit();
}

const TESTS: &str = "\
- one:
    type = plain
    naps = 0
    JeOS:
        outcome = ${type}
- two: one
    type = plain
    only JeOS
";

#[test]
fn a_provider_s_file_is_read_as_the_piece_that_it_is() {
    let sandbox = Sandbox::new();
    sandbox.provide(TESTS);
    let path = sandbox.path("mine/generic/tests/cfg/all.cfg");
    let mut editor = Editor::open_workspace(&sandbox);
    editor.open(&path);
    assert_eq!(
        editor.diagnostics(&path, 1),
        [],
        "it starts with a variant, as such files do"
    );
    // Its values are those of the whole configuration, whose other files come with the program.
    let (text, _) = hover(&mut editor, &path, position(TESTS, "outcome", 0, 1));
    for part in ["`plain`", &format!("{path}:5: outcome = ${{type}}"), "one"] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
    let found = definitions(&mut editor, &path, position(TESTS, "JeOS", 1, 1));
    assert!(
        found.iter().any(|place| place.uri.as_str().contains("guest-os")),
        "{found:?}"
    );
    // Lines of a piece are moved and lengthened on their way into the configuration.
    let line = Position::new(5, 0);
    editor.change(
        &path,
        2,
        Range::new(line, Position::new(6, 0)),
        "- three:\n\tno ö/x\n- two: ö/one\n",
    );
    let found = editor.diagnostics(&path, 2);
    let starts: Vec<_> = found.iter().map(|one| one.range.start).collect();
    assert_eq!(starts, [Position::new(6, 5), Position::new(7, 8)], "{found:?}");
    // What comes with the program cannot be renamed.
    let params = serde_json::to_value(rename_params(&path, position(TESTS, "JeOS", 0, 1), "other")).unwrap();
    let refused = editor.ask("textDocument/rename", params).unwrap_err();
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("comes with vtbuild"),
        "{refused}"
    );
    editor.quit();
}

#[test]
fn malformed_and_huge_texts_are_survived() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("odd.cfg");
    let mut editor = Editor::open_workspace(&sandbox);
    let deep: String = (0..3_000)
        .map(|depth| format!("{:depth$}variants n:\n{:depth$}- v:\n", "", ""))
        .collect();
    let wide = format!("k = {}\nonly {}\n", "x${k}".repeat(500_000), "a,".repeat(500_000));
    let texts = [
        deep,
        wide,
        "\u{feff}\0\u{2028}- (\r\r\n\u{1c}only \"\n[${\n".to_owned(),
        "oops\n".repeat(20_000),
        format!("x\n{}", "a:".repeat(3_000)),
        String::new(),
    ];
    for (version, text) in (2..).zip(&texts) {
        editor.open_text(&path, text);
        assert!(editor.diagnostics(&path, 1).len() <= 500);
        // Beyond the end of the text, and of every line.
        for at in [
            Position::new(0, 0),
            Position::new(1, u32::MAX),
            Position::new(u32::MAX, 7),
        ] {
            let params = serde_json::to_value(place(&path, at)).unwrap();
            for method in ["hover", "definition", "completion"] {
                editor
                    .ask(&format!("textDocument/{method}"), params.clone())
                    .unwrap();
            }
        }
        editor
            .ask(
                "textDocument/documentSymbol",
                json!({ "textDocument": { "uri": uri(&path) } }),
            )
            .unwrap();
        editor.change(
            &path,
            version,
            Range::new(Position::new(3, 1), Position::new(1, 0)),
            "𝄞",
        );
        editor.diagnostics(&path, version);
    }
    // A pipe as an include is not waited for.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        sandbox.path("pipe").as_str(),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    editor.open_text(&path, "include pipe\n");
    assert_eq!(code(&editor.diagnostics(&path, 1)[0]), "missing-include");
    editor.quit();
}
