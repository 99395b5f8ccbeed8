//! Routes of instance parameters and parameter templates.

use super::Route;

pub(super) const ROUTES: &[Route] = &[];
