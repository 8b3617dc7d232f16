/**
 * What `pnpm test` may leave out. `pnpm test:all` sets `INGRESS_ALL=1`: then nothing is left out, what is missing is fetched where
 * that is possible, and `scripts/reporter.ts` makes every test that is skipped for want of something a failure of the run.
 */
export const everything: boolean = process.env["INGRESS_ALL"] === "1"

/** Why a test that takes long is skipped; `undefined` when it runs. For `ctx.skip(…)`, or at the end of a group's name. */
export const onlyInAll: string | undefined = everything ? undefined : "runs by pnpm test:all"
