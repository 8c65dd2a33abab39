//! Capabilities and parameters of a migration: QEMU keeps them from one migration to the next, and both sides must agree.

use serde_json::{Map, Value, json};

use super::flow::{Ends, Side};
use super::{MigrateError, Migration};

/// What a QEMU is set to.
pub(super) struct Settings {
    /// `[{"capability": NAME, "state": BOOL}]`.
    capabilities: Value,
    parameters: Map<String, Value>,
}

impl Settings {
    /// What the source is set to now.
    pub(super) async fn of_source(ends: &Ends<'_>) -> Result<Settings, MigrateError> {
        let capabilities = ends
            .command(Side::Source, "query-migrate-capabilities", Value::Null)
            .await?;
        let parameters = ends
            .command(Side::Source, "query-migrate-parameters", Value::Null)
            .await?;
        let Value::Object(parameters) = parameters else {
            return Err(ends.failed(format!(
                "query-migrate-parameters returned no object: {parameters}"
            )));
        };
        Ok(Settings {
            capabilities,
            parameters,
        })
    }

    /// Sets the source as the migration wants it, and the destination as the source.
    pub(super) async fn agree(ends: &Ends<'_>, migration: &Migration) -> Result<(), MigrateError> {
        ends.command(
            Side::Source,
            "migrate-set-capabilities",
            wanted_capabilities(migration),
        )
        .await?;
        let parameters = wanted_parameters(migration);
        if !parameters.is_empty() {
            ends.command(Side::Source, "migrate-set-parameters", Value::Object(parameters))
                .await?;
        }
        let source = Settings::of_source(ends).await?;
        let capabilities = json!({ "capabilities": source.enabled() });
        ends.command(Side::Destination, "migrate-set-capabilities", capabilities)
            .await?;
        let shared = source.shared_parameters(migration);
        if !shared.is_empty() {
            ends.command(Side::Destination, "migrate-set-parameters", Value::Object(shared))
                .await?;
        }
        if !migration.destination_parameters.is_empty() {
            let own = Value::Object(migration.destination_parameters.clone());
            ends.command(Side::Destination, "migrate-set-parameters", own)
                .await?;
        }
        Ok(())
    }

    /// Sets the source back. What QEMU refuses stays as it is: the source has a machine to run, and does.
    pub(super) async fn put_back(&self, ends: &Ends<'_>, migration: &Migration) {
        let capabilities = json!({ "capabilities": self.capabilities });
        let _ = ends
            .command(Side::Source, "migrate-set-capabilities", capabilities)
            .await;
        for key in wanted_parameters(migration).keys() {
            if let Some(value) = self.parameters.get(key) {
                let _ = ends
                    .command(Side::Source, "migrate-set-parameters", json!({ key: value }))
                    .await;
            }
        }
    }

    fn enabled(&self) -> Vec<&Value> {
        let all = self
            .capabilities
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        all.iter()
            .filter(|capability| capability["state"] == true)
            .collect()
    }

    /// What the destination must be told: the migration's own parameters and how many channels there are.
    fn shared_parameters(&self, migration: &Migration) -> Map<String, Value> {
        let mut shared = migration.parameters.clone();
        if self
            .enabled()
            .iter()
            .any(|capability| capability["capability"] == "multifd")
        {
            let multifd = self
                .parameters
                .iter()
                .filter(|(key, _)| key.starts_with("multifd-"));
            shared.extend(multifd.map(|(key, value)| (key.clone(), value.clone())));
        }
        shared
    }
}

fn wanted_capabilities(migration: &Migration) -> Value {
    let mut wanted = vec![("events".to_owned(), true)];
    wanted.extend(migration.postcopy.then(|| ("postcopy-ram".to_owned(), true)));
    wanted.extend(migration.capabilities.iter().cloned());
    let list: Vec<_> = wanted
        .iter()
        .map(|(name, on)| json!({ "capability": name, "state": on }))
        .collect();
    json!({ "capabilities": list })
}

fn wanted_parameters(migration: &Migration) -> Map<String, Value> {
    let mut wanted = migration.parameters.clone();
    wanted.extend(
        migration
            .speed
            .map(|speed| ("max-bandwidth".to_owned(), speed.into())),
    );
    wanted.extend(
        migration
            .downtime_ms
            .map(|limit| ("downtime-limit".to_owned(), limit.into())),
    );
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Transport;

    #[test]
    fn the_destination_learns_of_every_channel() {
        let capabilities =
            json!([{ "capability": "multifd", "state": true }, { "capability": "xbzrle", "state": false }]);
        let parameters = json!({ "multifd-channels": 3, "max-bandwidth": 7 });
        let Value::Object(parameters) = parameters else {
            panic!("no object")
        };
        let settings = Settings {
            capabilities,
            parameters,
        };
        assert_eq!(settings.enabled().len(), 1);
        let shared = settings.shared_parameters(&Migration::new(Transport::Tcp));
        assert_eq!(Value::Object(shared), json!({ "multifd-channels": 3 }));
    }

    #[test]
    fn speed_and_downtime_are_parameters() {
        let mut migration = Migration::new(Transport::Tcp);
        (migration.speed, migration.downtime_ms, migration.postcopy) = (Some(5), Some(6), true);
        let parameters = Value::Object(wanted_parameters(&migration));
        assert_eq!(parameters, json!({ "max-bandwidth": 5, "downtime-limit": 6 }));
        assert_eq!(
            wanted_capabilities(&migration)["capabilities"][1]["capability"],
            "postcopy-ram"
        );
    }
}
