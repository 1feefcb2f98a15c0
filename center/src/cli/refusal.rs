//! What the center refused, as a person at a terminal is told in one line: what happened, the field with its value, the
//! rule, and the next step as a command.

use std::fmt;

use serde_json::Value;

/// A problem that the API answered with.
#[derive(Debug, Default)]
pub struct Refusal {
    /// What happened.
    pub message: String,
    /// The same in one word.
    pub code: String,
    /// What is wrong.
    pub field: Option<String>,
    /// Its value.
    pub value: Option<String>,
    /// What would be right.
    pub rule: Option<String>,
    /// What to do, as the API says it.
    pub next: Option<String>,
}

impl Refusal {
    /// Of an answer of the API; none: it is no problem.
    pub(super) fn of(answer: &Value) -> Option<Self> {
        let told = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            message: told("detail")?,
            code: told("code")?,
            field: told("field"),
            value: told("value"),
            rule: told("rule"),
            next: told("next"),
        })
    }

    /// The next step: the API's own words if they are for people too, and the command that goes on from here.
    fn next_step(&self) -> Option<String> {
        let suggestion = self.next.as_deref().filter(|next| !next.contains("/api/v1"));
        let command = command(&self.code, self.field.as_deref());
        match (suggestion, command) {
            (Some(next), Some(command)) if next.starts_with("did you mean") => {
                Some(format!("{next} {command}"))
            }
            (_, Some(command)) => Some(command.to_owned()),
            (next, None) => next.map(str::to_owned),
        }
    }
}

/// The command that goes on from an error.
fn command(code: &str, field: Option<&str>) -> Option<&'static str> {
    Some(match (code, field) {
        ("not_found", Some("product")) => "`quecota-center product list` shows what there is",
        ("not_found", Some("component")) => "`quecota-center product show PK` shows its components",
        ("not_found", Some("device")) => {
            "`quecota-center device list --product KEY --key BEGINNING` finds devices"
        }
        ("not_found", Some("upgrade plan")) => "`quecota-center plan list` shows what there is",
        ("not_found" | "package_missing", Some("version package" | "components")) => {
            "`quecota-center package list` shows what there is"
        }
        ("not_found", Some("account")) => "`quecota-center account list` shows what there is",
        ("not_found", Some("token")) => "`quecota-center token list` shows what there is",
        ("unauthorized" | "wrong_password", _) => "`quecota-center login` signs in",
        ("must_change_password", _) => {
            "`quecota-center login` asks for the new password, or takes --new-password-file FILE"
        }
        ("forbidden", _) => "an administrator gives more by `quecota-center account edit` or `token create`",
        ("not_activated", _) => "`quecota-center plan edit` changes the plan, `plan dry-run` tries it",
        ("plan_state", _) => "`quecota-center plan show` shows the plan's state",
        _ => return None,
    })
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, field, value, rule, .. } = self;
        f.write_str(message)?;
        if let (Some(field), Some(value)) = (field, value)
            && !message.contains(value.as_str())
        {
            write!(f, "; {field}: {value}")?;
        }
        if let Some(rule) = rule.as_deref().filter(|rule| !message.contains(rule)) {
            write!(f, "; {rule}")?;
        }
        match self.next_step() {
            Some(next) => write!(f, "; {next}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_names_rule_and_next_command() {
        let missing = json!({
            "detail": "there is no product p1dem", "code": "not_found", "field": "product", "value": "p1dem",
            "rule": "it must be there", "next": "did you mean p1demo?"
        });
        assert_eq!(
            Refusal::of(&missing).unwrap().to_string(),
            "there is no product p1dem; it must be there; did you mean p1demo? `quecota-center product list` shows what there \
             is"
        );
        let other = json!({ "detail": "no", "code": "x", "next": "GET /api/v1/plans" });
        assert_eq!(Refusal::of(&other).unwrap().to_string(), "no");
    }

    /// A command that is suggested is one that there is.
    #[test]
    fn suggested_commands_exist() {
        use clap::CommandFactory;
        let known = super::super::Cli::command();
        let kinds = ["product", "component", "device", "upgrade plan", "version package", "account", "token"];
        let codes = ["unauthorized", "must_change_password", "forbidden", "not_activated", "plan_state"];
        let told = kinds.map(|kind| command("not_found", Some(kind))).into_iter();
        for text in told.chain(codes.map(|code| command(code, None))) {
            let words = text.unwrap().split('`').nth(1).unwrap().split(' ').skip(1);
            let mut at = &known;
            for word in words.take_while(|word| {
                word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-')
            }) {
                at = at.find_subcommand(word).unwrap_or_else(|| panic!("{word}"));
            }
        }
    }
}
