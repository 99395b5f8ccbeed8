//! An ALTER that the rows of one shard do not take is taken back where it went through: what a
//! physical table has now is compared with what all had before, and changed back. What was dropped or
//! renamed cannot be told from the definition, and stays.

use super::ending::is_in_doubt;
use crate::error::ExecError;
use crate::exec::Exec;
use sql_plan::plan::{DdlPlan, DdlStatement};
use sql_plan::template::quoted;
use topology::algorithm::Target;
use topology::definition::{Parts, comparable};

/// Changes the physical tables back; false when one of them cannot be, an error when it cannot be now.
pub async fn restore(
    exec: &Exec<'_>,
    plan: &DdlPlan,
    one: &DdlStatement,
    done: &[Target],
    before: &str,
) -> Result<bool, ExecError> {
    let before = Parts::of(before);
    for target in done {
        let table = &one.tables[0];
        let physical = table.physical_name(*target);
        let name = [quoted(&table.physical_database(*target)), b".".to_vec(), quoted(&physical)];
        let name = name.concat();
        let node = exec.backends.node(&exec.data_node(&plan.schema, target.shard)?)?;
        let mut lease = node.own_lease().await?;
        let ask = [b"SHOW CREATE TABLE ".as_slice(), &name].concat();
        let rows = lease.query(&ask).await?.into_rows();
        let Some(create) = rows.first().and_then(|row| row.text(1)) else { return Ok(false) };
        let now = Parts::of(&comparable(&create, &physical, &table.name));
        let Some(actions) = actions(&before, &now, &Parts::of(&create).keys) else {
            return Ok(false);
        };
        if actions.is_empty() {
            continue;
        }
        let actions = actions.join(", ");
        let alter = [b"ALTER TABLE ".as_slice(), &name, b" ", actions.as_bytes()].concat();
        if let Err(error) = lease.execute_sql(&alter).await {
            tracing::warn!(%error, table = physical, "a physical table could not be changed back");
            let error = ExecError::from(error);
            return if is_in_doubt(&error) { Err(error) } else { Ok(false) };
        }
    }
    Ok(true)
}

/// The actions that make `now` what was before; none when something is lost. `own_keys` are the keys
/// of now under their physical names.
fn actions(before: &Parts, now: &Parts, own_keys: &[String]) -> Option<Vec<String>> {
    let named = |parts: &Parts, name: &str| {
        parts.columns.iter().find(|(one, _)| one == name).map(|(_, line)| line.clone())
    };
    if before.columns.iter().any(|(name, _)| named(now, name).is_none())
        || before.keys.iter().any(|key| !now.keys.contains(key))
        || before.partitions != now.partitions
    {
        return None;
    }
    let mut actions = Vec::new();
    for (key, own) in now.keys.iter().zip(own_keys) {
        if !before.keys.contains(key) {
            actions.push(drop_key(own)?);
        }
    }
    for (name, line) in &now.columns {
        match named(before, name) {
            None => actions.push(format!("DROP COLUMN `{name}`")),
            Some(old) if old != *line => actions.push(format!("MODIFY COLUMN {old}")),
            Some(_) => {}
        }
    }
    if before.engine != now.engine {
        actions.push(format!("ENGINE={}", before.engine));
    }
    if before.charset != now.charset || before.collate != now.collate {
        return None;
    }
    Some(actions)
}

/// The action that drops what a line of a definition adds.
fn drop_key(line: &str) -> Option<String> {
    let name = line.split('`').nth(1)?;
    if line.starts_with("PRIMARY KEY") {
        Some("DROP PRIMARY KEY".to_owned())
    } else if line.contains(" FOREIGN KEY ") {
        Some(format!("DROP FOREIGN KEY `{name}`"))
    } else if line.starts_with("CONSTRAINT ") {
        Some(format!("DROP CONSTRAINT `{name}`"))
    } else if line.contains("KEY `") {
        Some(format!("DROP INDEX `{name}`"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BEFORE: &str = "CREATE TABLE `t` (\n  `id` int(11) NOT NULL,\n  `a` varchar(9) DEFAULT NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin";

    fn back(now: &str) -> Option<Vec<String>> {
        let now = Parts::of(now);
        actions(&Parts::of(BEFORE), &now, &now.keys)
    }

    #[test]
    fn additions_are_dropped_and_changes_changed_back() {
        let now = BEFORE
            .replace("varchar(9)", "varchar(5)")
            .replace("  PRIMARY", "  `b` int(11) DEFAULT NULL,\n  PRIMARY")
            .replace("(`id`)\n", "(`id`),\n  UNIQUE KEY `u` (`a`),\n  CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `p` (`a`)\n");
        assert_eq!(
            back(&now).unwrap(),
            [
                "DROP INDEX `u`",
                "DROP FOREIGN KEY `f`",
                "MODIFY COLUMN `a` varchar(9) DEFAULT NULL",
                "DROP COLUMN `b`"
            ]
        );
        assert_eq!(back(BEFORE).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_lost_is_not_guessed() {
        assert!(back(&BEFORE.replace("  `a` varchar(9) DEFAULT NULL,\n", "")).is_none());
        assert!(back(&BEFORE.replace("`a`", "`z`")).is_none());
    }
}
