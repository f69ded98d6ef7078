//! The JSON Schema of the results.

use schemars::generate::SchemaSettings;

use super::document::Report;

/// The schema as text: draft 2020-12, of what is written. Fields may be added in later versions, so others than these are allowed.
///
/// # Errors
/// What the writer of JSON says.
pub fn schema() -> serde_json::Result<String> {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let schema = settings.into_generator().into_root_schema_for::<Report>();
    let mut text = serde_json::to_string_pretty(&schema)?;
    text.push('\n');
    Ok(text)
}
