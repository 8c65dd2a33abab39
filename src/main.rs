//! `vtbuild`.

fn main() {}
