//! Images against real qemu-img.

mod support;

use std::fs;
use std::io::{Seek, SeekFrom, Write};

use camino::Utf8Path;
use support::{Scratch, firmware_only, launch, spec};
use vtbuild_providers::image::{
    CheckOutcome, Create, ImageError, ImageSpec, Preallocation, QemuImg, Templates,
};
use vtbuild_providers::machine::Machine;
use vtbuild_providers::params::Params;

const MIB: u64 = 1 << 20;

async fn tool(scratch: &Scratch) -> QemuImg {
    let launch = launch(scratch).await;
    QemuImg::new(&launch.launcher, &launch.qemu)
}

fn qcow2(mib: u64) -> Create {
    Create {
        format: "qcow2".into(),
        size: Some(mib * MIB),
        ..Create::default()
    }
}

/// Overwrites eight bytes.
fn overwrite(path: &Utf8Path, offset: u64, value: u64) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(&value.to_be_bytes()).unwrap();
}

#[tokio::test]
async fn images_are_created_as_described() {
    let scratch = Scratch::new();
    let img = tool(&scratch).await;
    let entries = [
        ("image_name", "disk"),
        ("image_format", "qcow2"),
        ("image_size", "16M"),
        ("image_cluster_size", "4096"),
        ("preallocated", "metadata"),
        ("image_extra_params", "compat=1.1"),
    ];
    let params: Params = entries.into_iter().collect();
    let spec = ImageSpec::from_params("image1", &params, scratch.path()).unwrap();
    assert_eq!(spec.preallocation, Some(Preallocation::Metadata));
    img.create(&spec.file, &Create::of(&spec)).await.unwrap();
    let info = img.info(&scratch.join("disk.qcow2")).await.unwrap();
    assert_eq!(
        (info.format.as_str(), info.virtual_size, info.cluster_size),
        ("qcow2", 16 * MIB, Some(4096))
    );
    assert_eq!(info.format_specific["data"]["compat"], "1.1");
}

#[tokio::test]
async fn empty_overlays_are_copied_while_their_base_is_the_same() {
    let scratch = Scratch::new();
    let folder = scratch.join("templates");
    let img = tool(&scratch)
        .await
        .with_templates(&Templates::new(folder.clone()));
    let base = scratch.join("base.qcow2");
    img.create(&base, &qcow2(16)).await.unwrap();
    let overlays = ["a", "b", "c"].map(|name| scratch.join(name));
    for overlay in &overlays[..2] {
        img.overlay(&base, "qcow2", overlay).await.unwrap();
    }
    let made = || fs::read_dir(&folder).unwrap().count();
    assert_eq!(made(), 1);
    // A copy is an image of its own.
    img.resize(&overlays[0], "qcow2", 32 * MIB).await.unwrap();
    let info = img.info(&overlays[1]).await.unwrap();
    assert_eq!(
        (info.virtual_size, info.full_backing_filename.as_deref()),
        (16 * MIB, Some(base.as_path()))
    );
    // Somebody replaces the base.
    img.create(&base, &qcow2(64)).await.unwrap();
    img.overlay(&base, "qcow2", &overlays[2]).await.unwrap();
    assert_eq!(img.info(&overlays[2]).await.unwrap().virtual_size, 64 * MIB);
    assert_eq!(made(), 2);
}

#[tokio::test]
async fn an_overlay_leaves_its_base_alone() {
    let scratch = Scratch::new();
    let img = tool(&scratch).await;
    let (base, overlay) = (scratch.join("base.raw"), scratch.join("overlay.qcow2"));
    fs::write(&base, vec![7; 2 * usize::try_from(MIB).unwrap()]).unwrap();
    img.overlay(&base, "raw", &overlay).await.unwrap();
    let info = img.info(&overlay).await.unwrap();
    assert_eq!(info.full_backing_filename.as_deref(), Some(base.as_path()));
    assert_eq!(
        (info.virtual_size, info.backing_filename_format.as_deref()),
        (2 * MIB, Some("raw"))
    );
    img.resize(&overlay, "qcow2", 4 * MIB).await.unwrap();
    let copy = scratch.join("copy.raw");
    img.convert((&overlay, "qcow2"), (&copy, "raw"), false)
        .await
        .unwrap();
    let copied = fs::read(&copy).unwrap();
    assert_eq!(
        (copied.len() as u64, copied[0], copied[copied.len() - 1]),
        (4 * MIB, 7, 0)
    );
    assert_eq!(fs::metadata(&base).unwrap().len(), 2 * MIB);
}

#[tokio::test]
async fn a_check_tells_good_leaking_and_corrupt() {
    let scratch = Scratch::new();
    let img = tool(&scratch).await;
    let disk = scratch.join("disk.qcow2");
    img.create(
        &disk,
        &Create {
            preallocation: Some(Preallocation::Metadata),
            ..qcow2(4)
        },
    )
    .await
    .unwrap();
    assert_eq!(img.check(&disk, "qcow2").await.unwrap(), CheckOutcome::Good);
    // The header names the reference table at byte 48 and the table of tables at byte 40.
    let bytes = fs::read(&disk).unwrap();
    let at = |offset: u64| {
        let offset = usize::try_from(offset).unwrap();
        u64::from_be_bytes(bytes[offset..offset + 8].try_into().unwrap())
    };
    let block = at(at(48));
    let end = bytes.len() as u64 / 65536;
    // A cluster after all that is used gets a reference: nothing points to it.
    let file = fs::OpenOptions::new().write(true).open(&disk).unwrap();
    file.set_len((end + 8) * 65536).unwrap();
    overwrite(&disk, block + 2 * (end + 4), 1 << 48);
    assert_eq!(
        img.check(&disk, "qcow2").await.unwrap(),
        CheckOutcome::Leaks { clusters: 1 }
    );
    // The first table points to where nothing is.
    overwrite(&disk, at(40), 1 << 63 | 512);
    let outcome = img.check(&disk, "qcow2").await.unwrap();
    assert!(
        matches!(&outcome, CheckOutcome::Corrupt { errors: 1.., .. }),
        "{outcome:?}"
    );
    let raw = scratch.join("x.raw");
    fs::write(&raw, [0; 512]).unwrap();
    assert_eq!(img.check(&raw, "raw").await.unwrap(), CheckOutcome::Unsupported);
    let missing = img.check(&scratch.join("missing"), "qcow2").await.unwrap();
    assert!(
        matches!(&missing, CheckOutcome::Unfinished { report } if report.contains("No such file")),
        "{missing:?}"
    );
}

#[tokio::test]
async fn snapshots_are_taken_and_removed() {
    let scratch = Scratch::new();
    let img = tool(&scratch).await;
    let disk = scratch.join("disk.qcow2");
    img.create(&disk, &qcow2(4)).await.unwrap();
    img.snapshot(&disk, "one").await.unwrap();
    assert_eq!(img.info(&disk).await.unwrap().snapshots[0]["name"], "one");
    img.apply_snapshot(&disk, "one").await.unwrap();
    img.delete_snapshot(&disk, "one").await.unwrap();
    assert!(img.info(&disk).await.unwrap().snapshots.is_empty());
    let error = img.delete_snapshot(&disk, "one").await.unwrap_err();
    assert!(
        matches!(&error, ImageError::Refused { stderr, .. } if !stderr.is_empty()),
        "{error}"
    );
}

#[tokio::test]
async fn errors_carry_the_path_and_the_words_of_qemu_img() {
    let scratch = Scratch::new();
    let img = tool(&scratch).await;
    let error = img
        .info(&scratch.join("missing.qcow2"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("describe {}/missing.qcow2: ", scratch.path())),
        "{error}"
    );
    assert!(error.contains("No such file or directory"), "{error}");
    let error = img
        .create(
            &scratch.join("x"),
            &Create {
                format: "qcow2".into(),
                ..Create::default()
            },
        )
        .await;
    assert!(matches!(error, Err(ImageError::NoSize { .. })));
}

/// An image in use can be described, and a second machine cannot take it.
#[tokio::test]
async fn a_running_machine_holds_its_image() {
    let scratch = Scratch::new();
    let launch = launch(&scratch).await;
    let img = QemuImg::new(&launch.launcher, &launch.qemu);
    img.create(&scratch.join("disk.qcow2"), &qcow2(4)).await.unwrap();
    let name = scratch.join("disk");
    let parameters = [("images", "image1"), ("image_name", name.as_str())];
    let machine = Machine::start(&launch, spec("vm1", &parameters), None)
        .await
        .unwrap();
    assert_eq!(
        img.info(&scratch.join("disk.qcow2")).await.unwrap().virtual_size,
        4 * MIB
    );
    let error = Machine::start(&launch, spec("vm2", &parameters), None)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("lock"), "{error}");
    machine.kill().await;
    assert!(
        Machine::start(&launch, spec("vm3", &parameters), None)
            .await
            .is_ok()
    );
    assert!(Machine::start(&launch, firmware_only("vm4"), None).await.is_ok());
}
