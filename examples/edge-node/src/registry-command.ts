/** Writes routes, as a control plane does: `pnpm run registry attach misha mach_1`. */
import { openRegistry } from "./registry.ts"
import { required } from "./required.ts"

const USAGE = `migrate
machine <id> <region> <origin>     registers a machine, or says where it is now
create <project>
attach <project> <machine>         the machine, and with it the region
show <project>`

const { registry, close } = openRegistry(required("DATABASE_URL", "postgres://user@127.0.0.1/ingress"))

const run = async ([command, ...given]: readonly string[]): Promise<string> => {
  const [a = "", b = "", origin = ""] = given
  switch (command) {
    case "migrate":
      await registry.migrate()
      return "the tables are there"
    case "machine":
      await registry.putMachine({ id: a, region: b, type: "upstream", externalId: a, metadata: { origin } })
      return `${a} is in ${b} at ${origin}`
    case "create": {
      const { name } = await registry.create({ name: a })
      return `${name} is there, without a machine`
    }
    case "attach": {
      const { name, machine } = await registry.attach(a, b)
      return `${name} is on ${machine}`
    }
    case "show":
      return JSON.stringify(await registry.read(a), null, 2)
    default:
      throw new Error(`one of\n${USAGE}`)
  }
}

try {
  console.log(await run(process.argv.slice(2)))
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
} finally {
  await close()
}
