import { forwardErrors } from "../../packages/forward/src/error-rows.ts"
import type { ErrorRow } from "../../packages/forward/src/error-row.ts"
import { machineProxyErrors } from "../../packages/machine-proxy/src/error-rows.ts"
import { providerErrors } from "../../packages/providers/src/contract/error-rows.ts"
import { regionErrors } from "../../packages/router/src/regions/error-rows.ts"
import { routerErrors } from "../../packages/router/src/error-rows.ts"
import { LinkInvalid, TokenInvalid, TokenScope } from "../../packages/router/src/access/credential-errors.ts"
import { ReservedPath } from "../../packages/router/src/access/reserved-path.ts"
import { SignInFailed } from "../../packages/router/src/access/sign-in-failed.ts"
import { AccessDenied } from "../../packages/router/src/policies/access-denied.ts"
import { AuthUnavailable } from "../../packages/router/src/policies/auth-unavailable.ts"
import { LoginRequired } from "../../packages/router/src/policies/login-required.ts"
import { RateLimited } from "../../packages/router/src/policies/rate-limited.ts"
import { TooManyHops } from "../../packages/router/src/policies/too-many-hops.ts"

/** A row, and the proxies that respond with it. */
export interface KnownRow {
  readonly tag: string
  readonly row: ErrorRow
  readonly by: readonly ("router" | "machine proxy")[]
}

// A policy's error brings its own row.
const policyErrors = {
  AccessDenied: new AccessDenied().row,
  LoginRequired: new LoginRequired({ location: "/login" }).row,
  RateLimited: new RateLimited({ reason: "" }).row,
  AuthUnavailable: new AuthUnavailable({ reason: "" }).row,
  TooManyHops: new TooManyHops({ reason: "" }).row,
  TokenInvalid: new TokenInvalid({ reason: "" }).row,
  TokenScope: new TokenScope({ reason: "" }).row,
  LinkInvalid: new LinkInvalid({ reason: "" }).row,
  ReservedPath: new ReservedPath({ reason: "" }).row,
  SignInFailed: new SignInFailed({ reason: "" }).row,
}

const of = (by: KnownRow["by"], rows: Readonly<Record<string, ErrorRow>>): KnownRow[] =>
  Object.entries(rows).map(([tag, row]) => ({ tag, row, by }))

const ownErrors = Object.fromEntries(Object.entries(machineProxyErrors).filter(([tag]) => !(tag in forwardErrors)))

/** The rows of every package. A row that two tables share is here once. */
export const knownRows: readonly KnownRow[] = [
  ...of(["router"], { ...routerErrors, ...regionErrors, ...policyErrors, ...providerErrors }),
  ...of(["machine proxy"], ownErrors),
  ...of(["router", "machine proxy"], forwardErrors),
].filter(({ row }, at, all) => all.findLastIndex((other) => other.row === row) === at)

/** The rows by code: several where one code has several reasons. */
export const rowsByCode: ReadonlyMap<string, readonly KnownRow[]> = Map.groupBy(knownRows, ({ row }) => row.code)
