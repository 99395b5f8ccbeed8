//! Routes of what can be bought: engines and node classes.

use super::{BASE, PAGE, Parameter, Route};
use crate::body;
use crate::engine;
use crate::flavor;
use crate::paging::LIMIT_DEFAULT;

pub(super) const ROUTES: &[Route] = &[
    Route {
        path: "/v2/{project_id}/engines",
        operation: "list_engines",
        summary: "List engines",
        tag: "engine",
        query: PAGE,
        response: body!(engine::ListEnginesResponse, "ListEnginesResponse"),
        ..BASE
    },
    Route {
        path: "/v2/{project_id}/flavors",
        operation: "list_flavors",
        summary: "List node classes",
        tag: "flavor",
        query: &[
            Parameter::Text { name: "engine_id", required: true },
            Parameter::Offset,
            Parameter::Limit(LIMIT_DEFAULT),
        ],
        response: body!(flavor::ListFlavorsResponse, "ListFlavorsResponse"),
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/engines",
        operation: "list_engines_v3",
        summary: "List engines",
        tag: "engine",
        query: PAGE,
        response: body!(engine::ListEnginesV3Response, "ListEnginesV3Response"),
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/flavors",
        operation: "list_flavors_v3",
        summary: "List node classes",
        tag: "flavor",
        query: &[
            Parameter::Text { name: "engine_id", required: false },
            Parameter::Text { name: "engine_version", required: false },
            Parameter::Text { name: "available_zones", required: false },
            Parameter::Offset,
            Parameter::Limit(LIMIT_DEFAULT),
        ],
        response: body!(flavor::ListFlavorsV3Response, "ListFlavorsV3Response"),
        ..BASE
    },
];
