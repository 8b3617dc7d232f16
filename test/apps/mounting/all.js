/** Runs recipes in one process, each on a port of its own: `node all.js '{ "http": 3000 }'`. */
for (const [recipe, port] of Object.entries(JSON.parse(process.argv[2]))) {
  process.env.PORT = String(port)
  await import(`./${recipe}.js`)
}
