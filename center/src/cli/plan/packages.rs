//! The packages of a plan's components, by number or name.

use serde_json::{Value, json};

use crate::cli::client::{Client, ClientError, is_number, segment};
use crate::cli::table::{cell, items};

/// Components with their packages, in the order of the upgrade, as the API takes them.
pub(super) fn selected(
    client: &Client,
    product: &str,
    components: &[(String, String)],
) -> Result<Value, ClientError> {
    let packages = client.list(&format!("products/{}/packages", segment(product)))?;
    let chosen = components.iter().map(|(component, given)| {
        let package = number(&packages, product, component, given)?;
        Ok(json!({ "component": component, "package": package }))
    });
    chosen.collect()
}

/// The number of the component's package that was given by its number or its name.
fn number(packages: &Value, product: &str, component: &str, given: &str) -> Result<Value, ClientError> {
    let named: Vec<&Value> = items(packages)
        .iter()
        .filter(|package| package["name"] == given && package["component"] == component)
        .collect();
    let refused = |rule: String| Err(ClientError::Argument(format!("component {component}={given}: {rule}")));
    let numbered = items(packages).iter().find(|package| cell(&package["id"]) == given);
    match (named.as_slice(), numbered) {
        ([named, ..], Some(numbered)) if named["id"] != numbered["id"] => refused(format!(
            "package {given} has this number, and package {} of {component} has it as its name: give {} for the second one, \
             or a name for the first ({})",
            cell(&named["id"]),
            cell(&named["id"]),
            cell(&numbered["name"]),
        )),
        ([named], _) => Ok(named["id"].clone()),
        // The center says which number is no package.
        ([], _) if is_number(given) => Ok(json!(given.parse::<i64>().unwrap_or(i64::MAX))),
        ([], _) => refused(format!(
            "no package of {component} in product {product} has this name; `package list` shows numbers and names"
        )),
        (several, _) => {
            let numbers: Vec<String> = several.iter().map(|package| cell(&package["id"])).collect();
            refused(format!("several packages have this name, {}: give the number", numbers.join(" and ")))
        }
    }
}
