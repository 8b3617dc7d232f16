import { ProjectsInvalid, readProjects } from "../../src/project-files.ts"
import type { Projects } from "../../src/project-files.ts"

/** Texts of files by path; a project's compose file has the services `web` and `db` where none is given. */
export const folder = (files: Readonly<Record<string, string>>): ReadonlyMap<string, string> =>
  new Map(Object.entries(files))

export const COMPOSE = "services:\n  web:\n    image: nginx\n  db:\n    image: postgres\n"

/** One container project, `p`, with these rows. */
export const rows = (text: string, compose = COMPOSE): ReadonlyMap<string, string> =>
  folder({ "p/docker-compose.yml": compose, "p/itsup-project.yml": text })

/** What is wrong, as the command prints it. */
export const problemsOf = async (files: ReadonlyMap<string, string>): Promise<readonly string[]> => {
  const outcome: Projects | ProjectsInvalid = await readProjects(files).catch((cause: unknown) => {
    if (cause instanceof ProjectsInvalid) return cause
    throw cause
  })
  return outcome instanceof ProjectsInvalid ? outcome.message.split("\n") : []
}
