import { within } from "@project-ingress/router/internal"
import type { ExportInput, ExportProblem, Front, FrontPlan } from "../fronts/front.ts"
import { FrontFailed, FrontRefused } from "../resource/errors.ts"
import type { IngressEvent } from "./ingresses.ts"

/** A front with its plan. */
export interface PlannedFront {
  readonly front: string
  readonly plan: FrontPlan
  /** What the front cannot say; of ingresses that were left out for it, too. */
  readonly problems: readonly ExportProblem[]
  /** The names of ingresses that were left out because the front cannot express them. */
  readonly leftOut: ReadonlySet<string>
}

/** Fronts with their plans, in the order in which they are carried out. */
export interface FrontRun {
  readonly planned: readonly PlannedFront[]
  /** Whether anything is to be done at any of them. */
  readonly isChange: boolean
  readonly validate: () => Promise<void>
  /** Applies and reads back, one front after the other. */
  readonly apply: () => Promise<void>
  /** Takes back what was begun, the last first. What fails is an event, and makes it resolve to false. */
  readonly rollBack: () => Promise<boolean>
}

/**
 * Plans a front. What it cannot express of the ingress `changed` refuses the change; what it cannot express of others is left out,
 * as no change of one ingress may hang on another.
 *
 * @throws {FrontRefused | FrontFailed | SettingsConflict}
 */
export const planFront = async (
  front: Pick<Front, "name" | "plan">,
  input: ExportInput,
  changed: string | undefined,
  timeoutMs: number,
): Promise<PlannedFront> => {
  const once = (input: ExportInput): Promise<FrontPlan> =>
    step(front.name, "plan", timeoutMs, (signal) => front.plan(input, { signal }))
  const plan = await once(input)
  const unsupported = plan.problems.filter(({ kind }) => kind === "unsupported")
  if (unsupported.length === 0) return { front: front.name, plan, problems: plan.problems, leftOut: new Set() }
  const refused = unsupported.find(({ ingress }) => ingress === changed)
  if (refused !== undefined) throw new FrontRefused({ front: front.name, ...refused })
  const leftOut = new Set(unsupported.map(({ ingress }) => ingress))
  const rest = await once({ ...input, ingresses: input.ingresses.filter(({ name }) => !leftOut.has(name)) })
  const still = rest.problems.find(({ kind }) => kind === "unsupported")
  if (still !== undefined) throw new FrontRefused({ front: front.name, ...still })
  return { front: front.name, plan: rest, problems: [...unsupported, ...rest.problems], leftOut }
}

export const frontRun = (
  planned: readonly PlannedFront[],
  { timeoutMs, onEvent }: { readonly timeoutMs: number; readonly onEvent: (event: IngressEvent) => void },
): FrontRun => {
  const changing = planned.filter(({ plan }) => plan.diff !== "")
  const begun: PlannedFront[] = []
  return {
    planned,
    isChange: changing.length > 0,
    validate: async () => {
      for (const { front, plan } of changing) {
        await step(front, "validate", timeoutMs, (signal) => plan.validate(signal))
      }
    },
    apply: async () => {
      for (const each of changing) {
        const { front, plan } = each
        begun.push(each)
        await step(front, "apply", timeoutMs, (signal) => plan.apply(signal))
        await step(front, "read back", timeoutMs, (signal) => plan.readBack(signal))
      }
    },
    rollBack: async () => {
      let isWhole = true
      for (const { front, plan } of begun.splice(0).toReversed()) {
        try {
          await step(front, "roll back", timeoutMs, (signal) => plan.rollBack(signal))
        } catch (cause) {
          isWhole = false
          onEvent({ type: "error", during: "roll back", cause })
        }
      }
      return isWhole
    },
  }
}

/** What a front may say for itself; anything else that it rejects with is a failure. */
const OWN = new Set(["FrontRefused", "PortInUse", "SettingsConflict"])

const step = async <A>(
  front: string,
  name: FrontFailed["step"],
  timeoutMs: number,
  run: (signal: AbortSignal) => A | PromiseLike<A>,
): Promise<A> => {
  try {
    return await within(timeoutMs, run)
  } catch (cause) {
    if (typeof cause === "object" && cause !== null && "_tag" in cause && OWN.has(String(cause._tag))) throw cause
    throw new FrontFailed({ front, step: name, cause })
  }
}
