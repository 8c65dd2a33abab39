//! The encoding does not move, and no two lists of fields meet.

use proptest::prelude::*;

use super::*;
use crate::manifest::ORDER;

/// An item of a key, as data.
#[derive(Debug, Clone, PartialEq)]
enum Item {
    Text(String, String),
    Bytes(String, Vec<u8>),
    Number(String, u64),
    Flag(String, bool),
    Digest(String, Digest),
    Absent(String),
    Group(String, Vec<Item>),
}

struct List(&'static str, Vec<Item>);

impl Keyed for List {
    fn domain(&self) -> &'static str {
        self.0
    }

    fn fields(&self, sink: &mut dyn Fields) {
        put_all(&self.1, sink);
    }
}

fn put_all(items: &[Item], sink: &mut dyn Fields) {
    for item in items {
        match item {
            Item::Text(name, text) => sink.put(name, Value::Text(text)),
            Item::Bytes(name, bytes) => sink.put(name, Value::Bytes(bytes)),
            Item::Number(name, number) => sink.put(name, Value::Number(*number)),
            Item::Flag(name, flag) => sink.put(name, Value::Flag(*flag)),
            Item::Digest(name, digest) => sink.put(name, Value::Digest(*digest)),
            Item::Absent(name) => sink.put(name, Value::Absent),
            Item::Group(name, items) => {
                sink.open(name);
                put_all(items, sink);
                sink.close();
            }
        }
    }
}

fn text(name: &str, text: &str) -> Item {
    Item::Text(name.to_owned(), text.to_owned())
}

fn everything() -> List {
    let params = vec![text("mem", "1024"), Item::Absent("smp".to_owned())];
    let items = vec![
        text("rule", "test"),
        Item::Number("version".to_owned(), 1),
        Item::Flag("strict".to_owned(), true),
        Item::Bytes("salt".to_owned(), vec![0, 255]),
        Item::Digest("image".to_owned(), Digest::of(b"image")),
        Item::Group("params".to_owned(), params),
        Item::Group("deps".to_owned(), Vec::new()),
    ];
    List("action", items)
}

/// When this fails, every key people have stored is lost: raise `ENCODING` and say so in the change log.
#[test]
fn the_encoding_has_not_moved() {
    assert_eq!(ENCODING, 1);
    let golden = "54178e64ea780f0049461f380a6c4ffb36c44aa6edeee7cce8728b3e8d8ad7c7";
    assert_eq!(digest_of(&everything()).to_string(), golden);
}

#[test]
fn the_manifest_prints_what_is_hashed() {
    let manifest = manifest_of(&everything());
    let image = format!("blake3:{}", Digest::of(b"image"));
    let expected = [
        ("rule", "\"test\""),
        ("version", "1"),
        ("strict", "true"),
        ("salt", "hex:00ff"),
        ("image", &image),
        ("params.mem", "\"1024\""),
        ("params.smp", "absent"),
        ("deps", "{}"),
    ];
    let fields: Vec<_> = manifest
        .fields
        .iter()
        .map(|(path, value)| (path.as_str(), value.as_str()))
        .collect();
    assert_eq!(fields, expected);
    assert_eq!((manifest.domain.as_str(), manifest.encoding), ("action", 1));
    assert_eq!(manifest.get("params.mem"), Some("\"1024\""));
}

#[test]
fn a_difference_names_the_field_and_both_values() {
    let old = manifest_of(&List("a", vec![text("mem", "512"), text("smp", "1")]));
    let new = manifest_of(&List(
        "a",
        vec![text("mem", "1024"), Item::Absent("nic".to_owned())],
    ));
    let told: Vec<_> = old
        .diff(&new)
        .into_iter()
        .map(|change| (change.field, change.old, change.new))
        .collect();
    let some = |text: &str| Some(text.to_owned());
    let expected = [
        ("mem".to_owned(), some("\"512\""), some("\"1024\"")),
        ("nic".to_owned(), None, some("absent")),
        ("smp".to_owned(), some("\"1\""), None),
    ];
    assert_eq!(told, expected);
    assert_eq!(old.diff(&old), []);
}

#[test]
fn another_order_is_a_difference() {
    let one = manifest_of(&List("a", vec![text("a", ""), text("b", "")]));
    let two = manifest_of(&List("a", vec![text("b", ""), text("a", "")]));
    assert_eq!(one.diff(&two)[0].field, ORDER);
}

#[test]
#[should_panic(expected = "opened and not closed")]
fn a_group_left_open_is_a_bug() {
    struct Open;
    impl Keyed for Open {
        fn domain(&self) -> &'static str {
            "open"
        }
        fn fields(&self, sink: &mut dyn Fields) {
            sink.open("group");
        }
    }
    let _ = digest_of(&Open);
}

/// Names and texts that would run into each other without lengths, quotes or types.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ab.]{0,3}",
        1 => Just("a[1]".to_owned()),
        1 => Just("\"a\"".to_owned()),
        1 => Just("absent".to_owned()),
        1 => Just("1".to_owned()),
        1 => any::<String>(),
    ]
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let leaf = prop_oneof![
        (word(), word()).prop_map(|(name, text)| Item::Text(name, text)),
        (word(), proptest::collection::vec(any::<u8>(), 0..4))
            .prop_map(|(name, bytes)| Item::Bytes(name, bytes)),
        (word(), 0u64..3).prop_map(|(name, number)| Item::Number(name, number)),
        (word(), any::<bool>()).prop_map(|(name, flag)| Item::Flag(name, flag)),
        (word(), 0u8..3).prop_map(|(name, byte)| Item::Digest(name, Digest::of(&[byte]))),
        word().prop_map(Item::Absent),
    ];
    let item = leaf.prop_recursive(3, 16, 4, |inner| {
        (word(), proptest::collection::vec(inner, 0..4)).prop_map(|(name, items)| Item::Group(name, items))
    });
    proptest::collection::vec(item, 0..5)
}

fn encoded(list: &List) -> Vec<u8> {
    let mut encoder = Encoder::new(list.domain());
    list.fields(&mut encoder);
    encoder.finish()
}

/// Reads the encoding back: that this can be done at all is why two lists never collide.
struct Decoder<'a>(&'a [u8]);

impl Decoder<'_> {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let (head, rest) = self.0.split_at(count);
        self.0 = rest;
        head.to_vec()
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes(8).try_into().unwrap())
    }

    fn block(&mut self) -> Vec<u8> {
        let count = self.number() as usize;
        self.bytes(count)
    }

    fn text(&mut self) -> String {
        String::from_utf8(self.block()).unwrap()
    }

    fn items(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        loop {
            let tag = self.bytes(1)[0];
            if tag == b')' || tag == b'.' {
                return items;
            }
            let name = self.text();
            items.push(match tag {
                b'T' => Item::Text(name, self.text()),
                b'B' => Item::Bytes(name, self.block()),
                b'N' => Item::Number(name, self.number()),
                b'F' => Item::Flag(name, self.bytes(1) == [1]),
                b'D' => Item::Digest(name, Digest::from_bytes(self.bytes(32).try_into().unwrap())),
                b'A' => Item::Absent(name),
                b'(' => Item::Group(name, self.items()),
                other => panic!("unknown tag {other}"),
            });
        }
    }
}

proptest! {
    #[test]
    fn the_encoding_can_be_read_back(items in items()) {
        let bytes = encoded(&List("domain", items.clone()));
        let mut decoder = Decoder(&bytes);
        prop_assert_eq!(decoder.bytes(HEAD.len()), HEAD);
        prop_assert_eq!(decoder.bytes(4), ENCODING.to_le_bytes());
        prop_assert_eq!(decoder.text(), "domain");
        prop_assert_eq!(decoder.items(), items);
        prop_assert!(decoder.0.is_empty());
        prop_assert_eq!(digest_of(&List("domain", items_of(&bytes))), Digest::of(&bytes));
    }

    #[test]
    fn an_explanation_is_empty_exactly_when_the_keys_are_equal(one in items(), two in items()) {
        let [one, two] = [one, two].map(|items| List("domain", items));
        let changes = manifest_of(&one).diff(&manifest_of(&two));
        prop_assert_eq!(changes.is_empty(), digest_of(&one) == digest_of(&two));
        let paths: std::collections::HashSet<_> = manifest_of(&one).fields.into_iter().map(|field| field.0).collect();
        prop_assert_eq!(paths.len(), manifest_of(&one).fields.len());
    }
}

fn items_of(bytes: &[u8]) -> Vec<Item> {
    let mut decoder = Decoder(&bytes[HEAD.len() + 4..]);
    decoder.text();
    decoder.items()
}
