const style = `:root{color-scheme:light dark;--line:light-dark(#ddd,#333);--soft:light-dark(#666,#999);--on:light-dark(#0a7d33,#5bd882)}
body{font:16px/1.55 system-ui,sans-serif;max-width:44rem;margin:8vh auto;padding:0 1.25rem}
h1{font-size:1.6rem;margin:0 0 .25rem}p{color:var(--soft)}code,output{font-family:ui-monospace,monospace}
section{border:1px solid var(--line);border-radius:.75rem;padding:1rem 1.25rem;margin:1rem 0}
section h2{font-size:1rem;margin:0 0 .5rem}output{display:block;overflow-wrap:anywhere}
button,input{font:inherit;padding:.35rem .8rem;border-radius:.5rem;border:1px solid var(--line);background:transparent;color:inherit}
button{cursor:pointer}.on{color:var(--on)}a{color:inherit}`

const page = (title: string, body: string): string => `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(title)}</title>
<link rel="icon" href="data:,"><style>${style}</style>${body}</html>
`

const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

/** The page on port 4096. Elements that tests read: #machine, #ws, #sse, #upload. */
export const appPage = (machine: string): string =>
  page(
    `Machine ${machine}`,
    `<h1>Machine <code id="machine">${escape(machine)}</code></h1>
<p>This page, its WebSocket and its event stream come from a port inside the machine, through two proxies.</p>
<section><h2>WebSocket echo</h2><input id="say" value="hello" aria-label="message"> <button id="send">Send</button>
<output id="ws">connecting</output></section>
<section><h2>Event stream</h2><output id="sse">0</output></section>
<section><h2>Upload</h2><button id="post">Send 10 MB</button><output id="upload"></output></section>
<script type="module">
const at = (id) => document.getElementById(id)
const socket = new WebSocket(location.origin.replace("http", "ws") + "/echo")
socket.onopen = () => { at("ws").textContent = "open"; at("ws").className = "on" }
socket.onmessage = (event) => { at("ws").textContent = "echo: " + event.data }
socket.onclose = () => { at("ws").textContent = "closed"; at("ws").className = "" }
at("send").onclick = () => socket.send(at("say").value)
const events = new EventSource("/events")
events.onmessage = (event) => { at("sse").textContent = event.data; at("sse").className = "on" }
events.onerror = () => { at("sse").className = "" }
at("post").onclick = async () => {
  const body = new Uint8Array(10_000_000)
  for (let i = 0; i < body.length; i++) body[i] = i * 31 + (i >> 8)
  at("upload").textContent = "sending"
  const response = await fetch("/upload", { method: "POST", body })
  const { bytes, sha256 } = await response.json()
  at("upload").textContent = bytes + " bytes, sha256 " + sha256
}
</script>`,
  )

/** The page on port 3000, the one a hostname without port leads to. */
export const plainPage = (machine: string): string =>
  page(
    `Port 3000 of ${machine}`,
    `<h1>Another port of <code id="machine">${escape(machine)}</code></h1><p>A hostname without a port leads here.</p>`,
  )

/** The control page at http://localhost:8787/. It fetches its state, so the text is constant. */
export const controlPage = (): string =>
  page(
    "project-ingress",
    `<h1>project-ingress</h1><p>Two projects, two machines. Attach a project to the other machine and reload its page.</p>
<div id="projects"></div><p id="engine"></p>
<script type="module">
const add = (parent, tag, text) => { const made = document.createElement(tag); made.textContent = text; parent.append(made, " "); return made }
const call = async (path) => { await fetch(path, { method: "POST" }); await show() }
const show = async () => {
  const state = await (await fetch("/state")).json()
  document.getElementById("engine").textContent = state.why
  const projects = document.getElementById("projects")
  projects.replaceChildren()
  for (const project of state.projects) {
    const section = add(projects, "section", "")
    add(section, "h2", project.project + (project.machine ? " → " + project.machine : " is detached"))
    for (const url of project.urls) { const link = add(add(section, "p", ""), "a", url); link.href = url; link.target = "_blank" }
    for (const machine of state.machines) {
      add(section, "button", "attach " + machine).onclick = () => call("/attach?project=" + project.project + "&machine=" + machine)
    }
    add(section, "button", "detach").onclick = () => call("/detach?project=" + project.project)
  }
}
await show()
</script>`,
  )
