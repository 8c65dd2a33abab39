//! A program from its bytes answers as the program that was written.

use std::sync::Arc;

use super::*;
use crate::expand::ExpandOptions;
use crate::parser::parse;
use crate::program::{Loaded, Loader};

/// Every kind of statement, node and list that a graph has.
const EVERYTHING: &str = r#"
w = 1
w = 2
x = "a b"
x += c
y <= ${x}
z ~= 1
.*y ?= 2
y|z ?+= -${x}
z ?<= 0
mem = 64
mem_min = 128
del x
suffix _top
variants name:
  - @one: two..(name=one)
      a = 1
      only one
  - two.half:
      suffix _two
      b = 2
      !one..half:
          no five
          c = ${a}
variants [default=three]:
  - three: one
      variants:
        - p:
            k = p
        - q:
            k = q
      join p q
  - four:
      no (name=one)
"#;

struct Nothing;

impl Loader for Nothing {
    fn load(&self, _: &camino::Utf8Path) -> Loaded {
        Loaded::Absent
    }
}

/// Bytes at an address that is a multiple of eight.
fn aligned(bytes: &[u8]) -> &'static [u8] {
    let mut words = vec![0_u64; bytes.len().div_ceil(8)];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
    &bytemuck::cast_slice(words.leak())[..bytes.len()]
}

fn sources() -> Sources {
    Arc::new(|name| Some(parse(name, EVERYTHING.as_bytes())))
}

fn fresh() -> Program {
    Program::from_text("f", EVERYTHING, &Nothing).unwrap_or_else(|errors| panic!("{}", errors[0]))
}

fn dumps(program: &Program) -> Vec<String> {
    let variants = program.variants(&ExpandOptions::default());
    variants
        .map(|variant| {
            let mut out = String::new();
            crate::canonical_dump(&variant.expect("it expands"), &mut out).expect("it applies");
            out
        })
        .collect()
}

#[test]
fn a_stored_program_is_the_program() {
    let program = fresh();
    let bytes = program.to_bytes();
    let stored = Program::from_bytes(aligned(&bytes), &sources()).expect("its own bytes");
    assert_eq!(stored.to_bytes(), bytes);
    assert!(dumps(&program).len() > 2, "{:?}", dumps(&program));
    assert_eq!(dumps(&stored), dumps(&program));
}

#[test]
fn a_stored_program_grows_like_the_program() {
    let program = fresh();
    let stored = Program::from_bytes(aligned(&program.to_bytes()), &sources()).expect("its own bytes");
    // Known and new names, a new key that bounds, a filter on a key that was no name, new nodes.
    let more = "only three..one, new, x\nx = 7\nnewer = ${x}\nnewer_max = 5\nvariants name:\n  - one:\n  - mem:\n      only mem";
    let (one, two) = (program.with_text("l", more), stored.with_text("l", more));
    let (one, two) = (one.expect("correct"), two.expect("correct"));
    assert_eq!(dumps(&two), dumps(&one));
    assert_eq!(two.to_bytes(), one.to_bytes());
    let filter = "no four\nonly half";
    let (one, two) = (program.with_text("l", filter), stored.with_text("l", filter));
    assert_eq!(dumps(&two.expect("correct")), dumps(&one.expect("correct")));
}

#[test]
fn places_are_parsed_when_asked_for() {
    let program = fresh();
    let bytes = aligned(&program.to_bytes());
    let places = |program: &Program| crate::provenance::filters_in_force(program);
    let filtered = |program: &Program| program.with_text("l", "no three").expect("correct");
    let stored = Program::from_bytes(bytes, &sources()).expect("its own bytes");
    assert_eq!(places(&filtered(&stored)), places(&filtered(&program)));
    let warnings = |program: &Program| crate::lint::lint(program);
    assert!(!warnings(&program).is_empty());
    assert_eq!(warnings(&stored), warnings(&program));
    let changed: Sources = Arc::new(|_| None);
    let orphan = Program::from_bytes(bytes, &changed).expect("its own bytes");
    assert_eq!(dumps(&orphan), dumps(&program));
    assert!(warnings(&orphan).is_empty());
}

#[test]
fn cut_bytes_are_no_program() {
    let bytes = fresh().to_bytes();
    for length in 0..bytes.len() {
        assert!(
            Program::from_bytes(aligned(&bytes[..length]), &sources()).is_none(),
            "{length}"
        );
    }
}
