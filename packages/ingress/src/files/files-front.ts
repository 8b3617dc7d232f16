import type { Exported, ExportInput, Front, GeneratedFile } from "../fronts/front.ts"
import { FrontRefused } from "../resource/errors.ts"
import { secretsOf } from "../fronts/secrets.ts"
import { planFiles } from "./generated-files.ts"
import { HandEdited } from "./hand-edited.ts"

/** A front that reads its configuration from files. */
export interface FilesFrontOptions {
  readonly name: string
  /** Made if it is not there. */
  readonly folder: string
  readonly export: (input: ExportInput) => Exported
  /** The front's own checker, over the files before they are in their place. Rejects if they are not valid. */
  readonly validate?: (files: readonly GeneratedFile[], signal: AbortSignal) => Promise<void>
  /**
   * Has the front read what it does not look for itself: called with the paths that were written or removed, after they were, and again
   * after they were restored.
   */
  readonly reload?: (changed: readonly string[], signal: AbortSignal) => Promise<void>
  /** After the files are in their place: whether the front has taken them over. Default: the files are there. */
  readonly readBack?: (signal: AbortSignal, files: readonly GeneratedFile[]) => Promise<void>
  /** Also over files that were changed by hand. Default false. */
  readonly overwrite?: boolean
}

/** Drives a front by the files in its folder: only what has changed is written, each file whole. */
export const filesFront = (options: FilesFrontOptions): Front => {
  const { name, folder, overwrite = false } = options
  return {
    name,
    plan: async (input) => {
      const { files, problems } = options.export(input)
      const plan = await planFiles(folder, files, { secrets: secretsOf(input.ingresses), overwrite }).catch(
        (cause: unknown) => {
          if (cause instanceof HandEdited) throw new FrontRefused({ front: name, reason: cause.message, cause })
          throw cause
        },
      )
      const changed = [...plan.written, ...plan.removed]
      let isReloaded = false
      return {
        problems,
        diff: plan.diff,
        validate: async (signal) => options.validate?.(files, signal),
        apply: async (signal) => {
          await plan.apply()
          if (options.reload === undefined || changed.length === 0) return
          // From here on the front may have read the new files, also if it says otherwise.
          isReloaded = true
          await options.reload(changed, signal)
        },
        readBack: async (signal) => {
          await plan.readBack()
          await options.readBack?.(signal, files)
        },
        rollBack: async (signal) => {
          await plan.rollBack()
          if (isReloaded) await options.reload?.(changed, signal)
          isReloaded = false
        },
      }
    },
  }
}
