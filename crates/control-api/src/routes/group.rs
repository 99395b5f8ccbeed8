//! Routes of groups of nodes.

use super::Route;

pub(super) const ROUTES: &[Route] = &[];
