import type { Exported, ExportInput } from "../fronts/front.ts"
import { caddyfile } from "./caddyfile.ts"
import type { CaddyConfig } from "./caddy-json.ts"
import { caddyJson } from "./caddy-json.ts"
import { caddyModel } from "./caddy-model.ts"
import { checkCaddyOptions } from "./caddy-options.ts"
import type { CaddyOptions } from "./caddy-options.ts"
import { checkCaddyConfig } from "./check-config.ts"

/**
 * Writes ingresses as Caddy's JSON, in `caddy.json`, and gives the same as data. Pure: equal input gives equal bytes, in whatever order
 * the ingresses come. The file has mode 0o600 if it holds the value of a required header.
 *
 * What Caddy cannot do is a problem of kind `unsupported`; the hostname of such a rule, and of one without an address, is 503.
 *
 * @throws {TypeError} for an option that is invalid
 */
export const exportCaddy = (
  input: ExportInput,
  options: CaddyOptions = {},
): Exported & { readonly config: CaddyConfig } => {
  checkCaddyOptions("exportCaddy", options)
  const model = caddyModel(input, options)
  const config = caddyJson(model, options)
  // Rules with problems are refused by whoever applies it, and may lack what the check asks for: a certificate.
  const wrong = model.problems.some(({ kind }) => kind === "unsupported") ? [] : checkCaddyConfig(config)
  if (wrong.length > 0) throw new Error(`exportCaddy: ${wrong.slice(0, 3).join("; ")}`)
  const text = `${JSON.stringify(config, undefined, 2)}\n`
  return { files: [{ path: "caddy.json", text, ...secretMode(model) }], problems: model.problems, config }
}

/**
 * Writes ingresses as a `Caddyfile`. It does what {@link exportCaddy}'s JSON does, for those who read and keep one; a front that is
 * driven takes JSON. A value of a response's field with a brace is refused, because a Caddyfile has no way to write it.
 *
 * @throws {TypeError} for an option that is invalid
 */
export const exportCaddyfile = (input: ExportInput, options: CaddyOptions = {}): Exported => {
  checkCaddyOptions("exportCaddyfile", options)
  const model = caddyModel(input, options)
  const { text, problems } = caddyfile(model, options)
  return { files: [{ path: "Caddyfile", text, ...secretMode(model) }], problems: [...model.problems, ...problems] }
}

const secretMode = ({ hasSecrets }: { readonly hasSecrets: boolean }) => (hasSecrets ? { mode: 0o600 } : {})
