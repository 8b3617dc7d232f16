import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { caddySupervision, superviseFront } from "@project-ingress/ingress/supervision"
import type { SupervisedFront } from "@project-ingress/ingress/supervision"

/** A Caddy of our own: started, found again by the next control plane, and started again if it is killed. */
export const superviseCaddy = async (options: {
  readonly folder: string
  /** The port of its admin API. */
  readonly adminPort: number
  /** It was started again, and has nothing but its own file. */
  readonly onRestart: () => void
}): Promise<SupervisedFront> => {
  const { folder, adminPort, onRestart } = options
  await mkdir(folder, { recursive: true })
  const config = { admin: { listen: `127.0.0.1:${adminPort}` } }
  await writeFile(join(folder, "caddy.json"), JSON.stringify(config))
  let isUp = false
  const caddy = superviseFront({
    ...caddySupervision({ CADDY_ADMIN_PORT: String(adminPort) }, { folder }),
    // Where Caddy keeps what it saves: beside the rest, and not in somebody's home.
    env: { ...process.env, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    restarts: true,
    onEvent: ({ type }) => {
      if (type === "started" && isUp) onRestart()
    },
  })
  await caddy.start()
  isUp = true
  return caddy
}
