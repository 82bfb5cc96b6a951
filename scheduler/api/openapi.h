// The description of the API as an OpenAPI 3.1 document, written from the table of routes and the described types.
#pragma once

#include <string>

namespace ultramarine::api {

/// JSON; made once. `version` is the scheduler's.
const std::string& openapi_document(const std::string& version);

}  // namespace ultramarine::api
