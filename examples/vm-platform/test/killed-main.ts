/** A control plane that carries out one change, and kills itself at a step of it: `killed-main.ts <JSON>`. */
import type { Front, FrontPlan, IngressStorage } from "@project-ingress/ingress"
import { startPlatform } from "../src/platform.ts"
import type { PlatformOptions } from "../src/platform.ts"

/** What the process is given. */
export interface Killed {
  readonly options: PlatformOptions
  readonly step: string
  /** `during`: once it has begun, and whatever has become of it by then. */
  readonly when: "before" | "during" | "after"
  readonly reference: string
  readonly document: object
}

const { options, step, when, reference, document } = JSON.parse(process.argv[2]!) as Killed
let isArmed = false

const dying = async <A>(name: string, work: () => Promise<A>): Promise<A> => {
  const isHere = isArmed && name === step
  if (isHere && when === "before") process.kill(process.pid, "SIGKILL")
  if (isHere && when === "during") setTimeout(() => process.kill(process.pid, "SIGKILL"), 1)
  const result = await work()
  if (isHere) process.kill(process.pid, "SIGKILL")
  return result
}

const platform = await startPlatform({
  ...options,
  wrap: {
    storage: (storage): IngressStorage => ({
      ...storage,
      commit: (commit) => dying("commit", () => storage.commit(commit)),
      mark: (note) => dying(note === undefined ? "erase the mark" : "mark", () => storage.mark!(note)),
    }),
    front: (front): Front => ({
      ...front,
      plan: async (...given) => {
        const plan = await dying("plan", () => front.plan(...given))
        const stepOf =
          (name: string, step: "validate" | "apply" | "readBack"): FrontPlan["apply"] =>
          (signal) =>
            dying(name, () => plan[step](signal))
        return {
          ...plan,
          validate: stepOf("validate", "validate"),
          apply: stepOf("apply", "apply"),
          readBack: stepOf("read back", "readBack"),
        }
      },
    }),
  },
})
isArmed = true
await platform.ingresses.replace(reference, document)
console.log("the change was carried out")
process.exit(0)
