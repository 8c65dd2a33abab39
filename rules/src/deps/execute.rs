//! Carrying a build out: a guest is booted or a host is reached, and `make` does its work there.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use serde_json::json;
use vtbuild_engine::outcome::{Keep, Outcome, Produced, Status};
use vtbuild_engine::rule::Job;
use vtbuild_providers::build::{self, BuildError, Built, Order, SourceTree};
use vtbuild_providers::desk::{Desk, DeskSetup};
use vtbuild_providers::params::Params;
use vtbuild_providers::session::ssh::Connection;
use vtbuild_providers::session::ssh::exec::in_thread;

use super::declare::BUILDER;
use super::{DepsPayload, Place};
use crate::test::TestRule;
use crate::test::execute::{Stopped, error, launch, unless_cancelled};
use crate::test::folder::DataFolder;
use crate::test::images::ImageUse;

/// The name of the output: an archive with what `make` produced.
pub(crate) const OUTPUT: &str = "output.tar";
/// Seconds that a login may take from power-on where nobody says.
const LOGIN: u64 = 240;

/// Builds what `job` is about.
pub(super) async fn execute(test: &TestRule, job: &Job) -> Outcome {
    let payload = job
        .spec
        .payload
        .downcast_ref::<DepsPayload>()
        .expect("a deps action carries its payload");
    match unless_cancelled(job, attempt(test, job, payload)).await {
        Ok(built) => outcome(built),
        Err((status, reason)) => Outcome::ended(status, reason),
    }
}

fn outcome(built: Built) -> Outcome {
    let evidence = json!({
        "toolchain": built.toolchain.lines().collect::<Vec<_>>(),
        "products": built.products,
        "sent": built.mirrored,
    });
    Outcome {
        keep: Keep::Store,
        outputs: vec![Produced {
            name: OUTPUT.to_owned(),
            path: built.archive,
        }],
        evidence,
        ..Outcome::pass()
    }
}

async fn attempt(test: &TestRule, job: &Job, payload: &DepsPayload) -> Result<Built, Stopped> {
    let planned = payload
        .tree
        .as_ref()
        .map_err(|reason| (Status::Fail, reason.clone()))?;
    let tree = SourceTree::scan(&payload.source).map_err(|e| (Status::Fail, format!("failed to {e}")))?;
    if tree != *planned {
        let message = format!(
            "files in {} came or went since the run was planned; run it again",
            payload.source
        );
        return Err((Status::Error, message));
    }
    let order = Order {
        tree,
        flags: payload.flags.clone(),
        output: payload.output.clone(),
        id: payload.id.clone(),
        place: place(payload),
        scratch: job.scratch.clone(),
    };
    match &payload.place {
        Place::Host(host) => {
            job.events.step(format!("reaching the host {}", host.name));
            let connection = host.connect().await.map_err(error)?;
            make(job, payload, connection, order).await
        }
        Place::Guest(params, image) => in_guest(test, job, payload, params, image, order).await,
    }
}

fn place(payload: &DepsPayload) -> String {
    match &payload.place {
        Place::Guest(_, image) => format!("the guest {}", image.spec.file),
        Place::Host(host) => format!("the host {}", host.name),
    }
}

/// Boots the guest on an overlay, builds in it and kills it.
async fn in_guest(
    test: &TestRule,
    job: &Job,
    payload: &DepsPayload,
    params: &Params,
    image: &ImageUse,
    order: Order,
) -> Result<Built, Stopped> {
    let launch = launch(test, job, params, "d").await?;
    let img = test.img(&launch);
    let facts = &test.setup().facts;
    let folder = DataFolder::make(
        job,
        &job.scratch,
        facts,
        img,
        std::slice::from_ref(image),
        Vec::new(),
    )
    .await
    .map_err(error)?;
    let desk = Desk::new(DeskSetup {
        params: params.clone(),
        launch,
        data_dir: folder.path().to_owned(),
        log_dir: job.logs.clone(),
        images: folder,
    });
    job.events.step(format!("booting {}", image.spec.file));
    desk.create_vm(BUILDER, params.clone()).await.map_err(error)?;
    let patience = params.number("login_timeout").ok().flatten().unwrap_or(LOGIN);
    let connection = desk
        .connect(BUILDER, Duration::from_secs(patience))
        .await
        .map_err(|failure| error(failure.message))?;
    let built = make(job, payload, connection, order).await;
    // Its disk is an overlay that nobody looks at again.
    desk.shutdown_all(false).await;
    built
}

async fn make(
    job: &Job,
    payload: &DepsPayload,
    connection: Connection,
    order: Order,
) -> Result<Built, Stopped> {
    let path = job.logs.join("make.log");
    let mut log = File::create(&path).map_err(|source| error(format!("write {path}: {source}")))?;
    let events = job.events.clone();
    let at = order.place.clone();
    job.events.step(format!("building on {at}"));
    let patience = Duration::from_secs(payload.patience);
    let work = move |target: &Connection| {
        build::build(target, &order, &mut |line| {
            // The log is for people; the build's own verdict does not hang on it.
            let _ = writeln!(log, "{line}");
            events.step(line);
        })
    };
    let late = BuildError::Late { place: at, patience };
    let built = in_thread(connection, patience, work).await.unwrap_or(Err(late));
    let built = built.map_err(|problem| {
        let status = if problem.is_in_the_sources() {
            Status::Fail
        } else {
            Status::Error
        };
        let log = if matches!(problem, BuildError::Make { .. }) {
            format!("\nall that make printed: {path}")
        } else {
            String::new()
        };
        (status, format!("failed to {problem}{log}"))
    })?;
    let sent = &built.mirrored;
    job.events.step(format!(
        "sent {} of {} entries ({} bytes), removed {}",
        sent.sent,
        sent.sent + sent.unchanged,
        sent.bytes,
        sent.removed
    ));
    right_architecture(payload, &built)?;
    Ok(built)
}

/// Programs of another processor would fail in the test, where nobody would see why.
fn right_architecture(payload: &DepsPayload, built: &Built) -> Result<(), Stopped> {
    let found = built
        .toolchain
        .lines()
        .find_map(|line| line.strip_prefix("architecture: "));
    match (&payload.architecture, found) {
        (Some(wanted), Some(found)) if wanted != found && matches!(payload.place, Place::Host(_)) => {
            Err(error(format!(
                "build for {wanted} on {}: its architecture is {found}",
                place(payload)
            )))
        }
        _ => Ok(()),
    }
}
