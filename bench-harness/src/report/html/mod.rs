//! The report as one page that needs no network and no scripts.

use super::document::Report;

impl Report {
    /// The whole page.
    pub fn to_html(&self) -> String {
        String::new()
    }
}
