/**
 * What `pnpm test` may leave out. `pnpm test:all` sets `INGRESS_ALL=1`: then nothing is left out, what is missing is fetched where
 * that is possible, and `scripts/reporter.ts` makes every test that is skipped for want of something a failure of the run.
 */
export const everything: boolean = process.env["INGRESS_ALL"] === "1"

/**
 * What ends the name of a group that takes long, so that the last screen of a run says why it is skipped:
 *
 *     describe.skipIf(!everything)(`after many requests${onlyInAll}`, () => { … })
 */
export const onlyInAll: string = everything ? "" : ": runs by pnpm test:all"
