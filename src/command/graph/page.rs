//! The page: one file that needs nothing beside itself and asks the network for nothing.

use data_encoding::BASE64;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

/// The page around its parts.
const FRAME: &str = include_str!("page/page.html");
/// How it looks.
const STYLE: &str = include_str!("page/page.css");
/// What it does: the libraries first, then ours, each after those that it calls.
const SCRIPTS: [&str; 8] = [
    include_str!("vendor/cytoscape.min.js"),
    include_str!("vendor/cytoscape-dagre.min.js"),
    include_str!("page/model.js"),
    include_str!("page/look.js"),
    include_str!("page/layout.js"),
    include_str!("page/live.js"),
    include_str!("page/panel.js"),
    include_str!("page/main.js"),
];

/// The page for these facts. Facts of a run that goes on say `live`: then the page listens to whoever serves it, and to nobody
/// else.
pub fn page(facts: &Json) -> String {
    let connect = if facts["live"] == true {
        " connect-src 'self';"
    } else {
        ""
    };
    let hashes: Vec<String> = SCRIPTS
        .iter()
        .map(|script| format!("'sha256-{}'", BASE64.encode(&Sha256::digest(script))))
        .collect();
    let scripts: Vec<String> = SCRIPTS
        .iter()
        .map(|script| format!("<script>{script}</script>\n"))
        .collect();
    // One pass from the front, so that nothing that is put in is looked at again.
    let parts = [
        ("{{hashes}}", hashes.join(" ")),
        ("{{connect}}", connect.to_owned()),
        ("{{style}}", STYLE.to_owned()),
        ("{{facts}}", embedded(facts)),
        ("{{scripts}}", scripts.concat()),
    ];
    let mut page = String::new();
    let mut rest = FRAME;
    for (mark, text) in parts {
        let (before, after) = rest.split_once(mark).expect("the frame has each mark, in order");
        page.push_str(before);
        page.push_str(&text);
        rest = after;
    }
    page.push_str(rest);
    page
}

/// JSON that stands inside an element of HTML: no text in it can end the element or begin another.
fn embedded(facts: &Json) -> String {
    let escapes = [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    // In JSON these characters stand only inside of strings, where an escape means the same.
    escapes
        .iter()
        .fold(facts.to_string(), |text, (c, escape)| text.replace(*c, escape))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_text_leaves_the_element_that_it_stands_in() {
        let title = "</script><script>alert(1)</script><!-- {{scripts}} \u{2028}&";
        let page = page(&json!({ "nodes": [{ "title": title }] }));
        let (_, data) = page.split_once("type=\"application/json\">").unwrap();
        let (data, _) = data.split_once("</script>").unwrap();
        let back: Json = serde_json::from_str(data).unwrap();
        assert_eq!(back["nodes"][0]["title"], title);
        assert!(!page.contains("alert(1)</script>"));
    }

    #[test]
    fn the_page_lets_only_its_own_scripts_run() {
        for script in SCRIPTS {
            assert!(
                !script.to_ascii_lowercase().contains("</script"),
                "it would end early"
            );
        }
        let page = page(&json!({}));
        let (_, policy) = page.split_once("Content-Security-Policy\" content=\"").unwrap();
        let (policy, _) = policy.split_once('"').unwrap();
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert_eq!(policy.matches("'sha256-").count(), SCRIPTS.len());
        assert!(
            !policy.contains("http") && !policy.contains("connect-src"),
            "{policy}"
        );
    }

    #[test]
    fn the_libraries_are_those_that_their_table_names() {
        let table = include_str!("vendor/README.md");
        for library in &SCRIPTS[..2] {
            let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(library));
            assert!(
                table.contains(&format!("`{digest}`")),
                "{digest} is not in the table"
            );
        }
    }
}
