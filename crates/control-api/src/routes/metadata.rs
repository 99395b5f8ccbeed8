//! Routes of export, import and restore of metadata.

use super::Route;

pub(super) const ROUTES: &[Route] = &[];
