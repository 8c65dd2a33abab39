//! What runs after an edit of a recipe: the image, and what stands on it if the image came out otherwise. The recipe here
//! makes an empty disk, and no machine is started.

mod support;

use camino::Utf8PathBuf;
use support::{Sandbox, files_below};

/// Two tests on the recipe's image and one without any.
const CFG: &str = "- plain:
    virt_test_type = qemu libvirt
    type = plain
    start_vm = no
    variants:
        - first:
        - second:
        - apart:
            vms = \"\"
            images = \"\"
";

const RECIPE: &str = "name = \"mini\"\nimage_size = \"1M\"\nsource_date_epoch = 1\n\n[outputs]\n\"disk.qcow2\" = \"disk\"\n\n[programs]\nqemu-img = \"qemu-utils\"\n";

const BUILD: &str = "#!/bin/sh
# Makes an empty disk.
set -e
echo 'step: making a disk'
qemu-img create -q -f qcow2 -o cluster_size=64k \"$OUT/disk.qcow2\" \"$IMAGE_SIZE\"
";

fn workspace() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.provide(CFG);
    sandbox.write("recipes/mini/recipe.toml", RECIPE);
    sandbox.write("recipes/mini/build", BUILD);
    let guest = "Mini:\n    image_name = images/mini\n    image_recipe = mini\n    image_size = 1M\n";
    sandbox.write("shared/cfg/guest-os/Linux/LinuxCustom/mini.cfg", guest);
    let settings = sandbox.read("vtbuild.toml") + "guest-os = \"LinuxCustom.Mini\"\n";
    sandbox.write("vtbuild.toml", &settings);
    sandbox
}

/// Whether the image was built, and which tests ran.
fn ran(sandbox: &Sandbox) -> (bool, Vec<String>) {
    let run = sandbox.run("//... --progress plain --accel tcg").exit(0);
    (run.stdout().contains("image mini: PASS"), run.ran())
}

/// A disk in the store.
fn disk(sandbox: &Sandbox) -> Utf8PathBuf {
    let blobs = files_below(&sandbox.cache().join("cas"));
    let is_disk = |path: &Utf8PathBuf| std::fs::read(path).unwrap().starts_with(b"QFI\xfb");
    blobs.into_iter().find(is_disk).expect("the disk is in the store")
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_recipe_s_edit_runs_the_image_and_all_that_stand_on_it() {
    let sandbox = workspace();
    assert_eq!(ran(&sandbox), (true, names(&["apart", "first", "second"])));
    sandbox.count_calls();
    // The program that counts is another one than before.
    ran(&sandbox);
    let calls = sandbox.calls();
    assert_eq!(ran(&sandbox), (false, names(&[])));
    assert_eq!(sandbox.calls(), calls, "a run of hits starts no tool of QEMU");

    sandbox.edit("recipes/mini/build", "cluster_size=64k", "cluster_size=128k");
    let dry = sandbox.run("//... --dry-run --accel tcg").exit(0);
    let dry = dry.says(&[
        "run    image mini: sources.recipe/mini/build: ",
        "4 actions: 1 would be served",
        "maybe  test mine.plain.first",
    ]);
    drop(dry);
    assert_eq!(ran(&sandbox), (true, names(&["first", "second"])));
}

#[test]
fn an_image_that_comes_out_as_before_ends_it_there() {
    let sandbox = workspace();
    ran(&sandbox);
    sandbox.edit("recipes/mini/build", "# Makes", "# It makes");
    assert_eq!(ran(&sandbox), (true, names(&[])));
    sandbox.write("recipes/mini/notes", "A new file of the recipe.");
    assert_eq!(ran(&sandbox), (true, names(&[])));
}

#[test]
fn a_recipe_of_the_workspace_comes_before_the_bundled_one() {
    let sandbox = workspace();
    std::fs::rename(sandbox.path("recipes/mini"), sandbox.path("recipes/jeos-12")).unwrap();
    sandbox.edit("recipes/jeos-12/recipe.toml", "\"mini\"", "\"jeos-12\"");
    let run = sandbox
        .run("//first -p image_recipe=jeos-12 --accel tcg --progress plain")
        .exit(0);
    assert_eq!(run.ran(), ["first"]);
    assert!(run.stdout().contains("image jeos-12: PASS"), "{}", run.stdout());
}

#[test]
fn a_damaged_image_is_set_aside_and_built_again() {
    let sandbox = workspace();
    ran(&sandbox);
    let disk = disk(&sandbox);
    let mut bytes = std::fs::read(&disk).unwrap();
    *bytes.last_mut().unwrap() ^= 0xff;
    std::fs::remove_file(&disk).unwrap();
    std::fs::write(&disk, bytes).unwrap();

    let verify = sandbox.run("cache verify").exit(5);
    let verify = verify.says(&["1 are not"]);
    drop(verify);
    sandbox.edit("mine/generic/tests/plain.py", "'as asked'", "'as was asked'");
    let run = sandbox.run("//... --progress plain --accel tcg").exit(0);
    assert!(run.stdout().contains("image mini: PASS"), "{}", run.whole());
    assert_eq!(run.ran(), ["apart", "first", "second"]);
    drop(run.complains(&[]));
    drop(sandbox.run("cache verify").exit(0).says(&["0 are not"]));
}

/// What a dry run foresees by the notes of earlier commands, which must be there, and what it foresees without them.
fn foreseen(sandbox: &Sandbox) -> [String; 2] {
    let notes = sandbox.cache().join("notes");
    assert_ne!(
        files_below(&notes),
        Vec::<Utf8PathBuf>::new(),
        "nothing was noted"
    );
    let dry = || {
        let run = sandbox.run("//... --dry-run --accel tcg").exit(0);
        run.stdout().to_owned()
    };
    let by_notes = dry();
    std::fs::remove_dir_all(&notes).unwrap();
    [by_notes, dry()]
}

/// Runs until all is in the cache, and noted.
fn settle(sandbox: &Sandbox) {
    ran(sandbox);
    assert_eq!(ran(sandbox), (false, names(&[])));
    let notes = || {
        let files = files_below(&sandbox.cache().join("notes"));
        let content = files.iter().map(|file| std::fs::read(file).unwrap());
        content.collect::<Vec<_>>()
    };
    let before = notes();
    assert_eq!(ran(sandbox), (false, names(&[])));
    assert_eq!(notes(), before, "notes that hold are not written again");
}

#[test]
fn notes_foresee_of_tests_on_images_what_a_look_up_does() {
    let sandbox = workspace();
    let given = "        - given:
            image_name_image1 = images/given
            image_format_image1 = raw
            image_recipe_image1 =
";
    sandbox.write("mine/generic/tests/cfg/all.cfg", &format!("{CFG}{given}"));
    let image = |content: &str| {
        std::fs::create_dir_all(sandbox.path("images")).unwrap();
        sandbox.write("images/given.raw", &content.repeat(1024));
    };
    image("one");
    let edits: [(&dyn Fn(), &[&str]); 6] = [
        (&|| (), &[]),
        (
            &|| sandbox.edit("recipes/mini/build", "cluster_size=64k", "cluster_size=128k"),
            &["image mini", "mine.plain.first", "mine.plain.second"],
        ),
        (
            // Where no module is looked for, and all of a recipe counts.
            &|| sandbox.write("recipes/mini/__pycache__/notes", "A new file of the recipe."),
            &["image mini", "mine.plain.first", "mine.plain.second"],
        ),
        (&|| image("two"), &["mine.plain.given"]),
        (
            &|| std::fs::remove_file(disk(&sandbox)).unwrap(),
            &["image mini", "mine.plain.first", "mine.plain.second"],
        ),
        (
            &|| sandbox.count_calls(),
            &[
                "image mini",
                "mine.plain.first",
                "mine.plain.second",
                "mine.plain.given",
            ],
        ),
    ];
    for (at, (edit, concerned)) in edits.into_iter().enumerate() {
        settle(&sandbox);
        edit();
        let [by_notes, by_look_up] = foreseen(&sandbox);
        assert_eq!(by_notes, by_look_up, "edit {at}");
        for name in concerned {
            assert!(by_notes.contains(name), "edit {at}: no {name} in {by_notes}");
        }
    }
    settle(&sandbox);
    std::fs::remove_file(sandbox.path("images/given.raw")).unwrap();
    let [by_notes, by_look_up] = foreseen(&sandbox);
    assert_eq!(by_notes, by_look_up, "without the image");
    assert!(by_notes.contains("mine.plain.given"), "{by_notes}");
}
