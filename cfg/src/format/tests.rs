//! Layouts before and after.

use super::{FormatError, format};

#[track_caller]
fn becomes(before: &str, after: &str) {
    assert_eq!(format("x.cfg", before.as_bytes()).unwrap(), after);
    assert_eq!(format("x.cfg", after.as_bytes()).unwrap(), after, "a second time");
}

#[test]
fn four_blanks_a_level_whatever_there_was() {
    becomes(
        "a=1\n  variants  n :\n     -   x:y,z\n",
        "a = 1\nvariants n:\n    - x: y, z\n",
    );
    becomes(
        "variants n:\n  - @x.y:\n          k+=v\n\n\n\n          j   <=\tw  \n  - z:\n",
        "variants n:\n    - @x.y:\n        k += v\n\n        j <= w\n    - z:\n",
    );
}

#[test]
fn conditions_stand_with_what_they_hold() {
    becomes("a , b..c:x=1\n! d:\n y=2\n", "a, b..c: x = 1\n!d:\n    y = 2\n");
    becomes("a: b: x=1\n", "a: b: x = 1\n");
}

#[test]
fn comments_stay_with_their_block() {
    becomes(
        "# top\na:\n  # of x\n  x=1\n  # last\n# of y\ny=2 # part of the value\nonly  a,b # why\n",
        "# top\na:\n    # of x\n    x = 1\n    # last\n# of y\ny = 2 # part of the value\nonly a, b  # why\n",
    );
}

#[test]
fn a_comment_alone_in_a_block_stays_in_it() {
    becomes(
        "variants:\n  - a:\n      # nothing yet\n  - b:\n",
        "variants:\n    - a:\n        # nothing yet\n    - b:\n",
    );
}

#[test]
fn keys_that_look_like_statements_stay_keys() {
    becomes(
        "only=1\ndel=3\nvariants=7\n=4\n",
        "only= 1\ndel= 3\nvariants= 7\n= 4\n",
    );
}

#[test]
fn quotes_and_blanks_in_values_stay() {
    becomes("x=\"  a  b \"\ny =  a   b\n", "x = \"  a  b \"\ny = a   b\n");
}

#[test]
fn a_provider_s_piece_begins_with_a_dash() {
    becomes(
        "# about\n- boot:\n   type=boot\n\n   variants:\n    - a:\n    - b:\n- c:\n",
        "# about\n- boot:\n    type = boot\n\n    variants:\n        - a:\n        - b:\n- c:\n",
    );
    becomes(
        "- boot:\n    variants:\n        - a:\n#        - b:\n#            x = 1\n\n",
        "- boot:\n    variants:\n        - a:\n#        - b:\n#            x = 1\n",
    );
    let tab = format("x.cfg", b"- boot:\n    x = a\tb\n").unwrap_err();
    assert!(matches!(tab, FormatError::Tab(2)), "{tab:?}");
    let FormatError::Broken(found) = format("x.cfg", b"- boot:\n    only a...b\n").unwrap_err() else {
        panic!("an error was expected");
    };
    assert_eq!(
        (found[0].location.line, found[0].location.text.as_str()),
        (2, "    only a...b")
    );
}

#[test]
fn what_cannot_be_laid_out_alike_is_refused() {
    // The second line is inside of `a` alone; at any other indentation it would be inside of `b`.
    let error = format("x.cfg", b"a: b: x = 1\n y = 2\n").unwrap_err();
    assert!(
        matches!(&error, FormatError::Meaning(at) if at.line == 1),
        "{error:?}"
    );
    let error = format("x.cfg", "x = 1\ny = a\u{2028}z = 2\n".as_bytes()).unwrap_err();
    assert!(matches!(error, FormatError::OddBreak(2)), "{error:?}");
}
