// Package gen holds what is generated from routes.yaml: the reverse proxy (gw) and the OpenAPI document.
package gen

import _ "embed"

// OpenAPI is the OpenAPI v2 document of the /v1 resources, as JSON.
//
//go:embed openapi/relance.swagger.json
var OpenAPI []byte
