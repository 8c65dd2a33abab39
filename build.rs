//! Rebuilds the program when a file that it carries changes.

fn main() {
    for folder in ["cfg/sets", "providers/bundled", "providers/python"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
