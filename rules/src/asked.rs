//! Programs of this host that are asked about themselves, once: the answer is kept for as long as the program is the same.

use camino::{Utf8Path, Utf8PathBuf};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use vtbuild_cache::{Digest, Identity};
use vtbuild_providers::memo;

/// An answer, and which program gave it.
#[derive(Serialize, Deserialize)]
struct Asked<T> {
    program: Utf8PathBuf,
    /// By what a change of the program shows without reading it.
    identity: Vec<u8>,
    /// Whether it had been as it was for so long that another change would have shown.
    settled: bool,
    digest: Digest,
    answer: T,
}

/// The answer of `program`: from below `memory`, where its content has given one that still `holds`, else from `ask`.
///
/// # Errors
/// Those of `ask`. A program that cannot be read is asked each time.
pub(crate) async fn once<T, E>(
    program: &Utf8Path,
    memory: &Utf8Path,
    holds: impl Fn(&T) -> bool,
    ask: impl Future<Output = Result<T, E>>,
) -> Result<T, E>
where
    T: Serialize + DeserializeOwned,
{
    let place = memory.join(format!(
        "{}.json",
        Digest::of(program.as_str().as_bytes()).short()
    ));
    let Ok(metadata) = std::fs::metadata(program) else {
        return ask.await;
    };
    let now = Identity::of(&metadata);
    let (identity, settled) = (now.to_bytes().to_vec(), now.is_settled());
    let kept: Option<Asked<T>> = memo::recall(&place);
    let kept = match kept.filter(|kept| kept.program == program && holds(&kept.answer)) {
        Some(kept) if kept.settled && kept.identity == identity => return Ok(kept.answer),
        kept => kept,
    };
    let Ok((digest, _)) = Digest::of_file(program) else {
        return ask.await;
    };
    let answer = match kept {
        Some(kept) if kept.digest == digest => kept.answer,
        _ => ask.await?,
    };
    let asked = Asked {
        program: program.to_owned(),
        identity,
        settled,
        digest,
        answer,
    };
    memo::remember(&place, &asked);
    Ok(asked.answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_is_asked_again_only_when_its_content_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (program, memory) = (dir.join("program"), dir.join("memory"));
        let ask = async |answer: &str| {
            let answer = answer.to_owned();
            once::<String, ()>(&program, &memory, |kept| kept != "gone", async { Ok(answer) }).await
        };
        std::fs::write(&program, "one").unwrap();
        assert_eq!(ask("first").await.as_deref(), Ok("first"));
        assert_eq!(ask("second").await.as_deref(), Ok("first"));
        std::fs::write(&program, "one").unwrap();
        assert_eq!(
            ask("third").await.as_deref(),
            Ok("first"),
            "a touch changes nothing"
        );
        std::fs::write(&program, "two").unwrap();
        assert_eq!(ask("fourth").await.as_deref(), Ok("fourth"));
        std::fs::write(&program, "three").unwrap();
        assert_eq!(ask("gone").await.as_deref(), Ok("gone"));
        assert_eq!(
            ask("fifth").await.as_deref(),
            Ok("fifth"),
            "the answer before holds no more"
        );
        std::fs::remove_file(&program).unwrap();
        assert_eq!(ask("sixth").await.as_deref(), Ok("sixth"));
    }
}
