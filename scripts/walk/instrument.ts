import ts from "typescript"

/**
 * Adds calls of `__walk` to a source: at the beginning of each function but a getter, which reads like a field, and around each
 * `yield` and `await` in one.
 */
export const instrument = (url: string, source: string): string => {
  const file = ts.createSourceFile(url, source, ts.ScriptTarget.Latest, true)
  const inserts: { at: number; text: string }[] = []
  const insert = (at: number, text: string) => inserts.push({ at, text })

  const visit = (node: ts.Node, inside: string | undefined): void => {
    let name = inside
    if (ts.isFunctionLike(node) && !ts.isGetAccessor(node) && "body" in node && node.body !== undefined) {
      name = nameOf(node)
      enterFunction(node.body, name)
    } else if (name !== undefined && (ts.isYieldExpression(node) || ts.isAwaitExpression(node))) {
      insert(node.getStart(file), `globalThis.__walk(${JSON.stringify(url)}, ${JSON.stringify(name)}, { value: `)
      ts.forEachChild(node, (child) => visit(child, name))
      insert(node.getEnd(), " })")
      return
    }
    ts.forEachChild(node, (child) => visit(child, name))
    if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) insert(node.body.getEnd(), "))")
  }

  const enterFunction = (body: ts.ConciseBody, name: string) => {
    const call = `globalThis.__walk(${JSON.stringify(url)}, ${JSON.stringify(name)})`
    if (ts.isBlock(body)) insert(body.getStart(file) + 1, ` ${call};`)
    else insert(body.getStart(file), `(${call}, (`)
  }

  visit(file, undefined)
  // Sorting is stable: what was added first at one place stays first.
  let text = ""
  let from = 0
  for (const each of inserts.toSorted((a, b) => a.at - b.at)) {
    text += source.slice(from, each.at) + each.text
    from = each.at
  }
  return text + source.slice(from)
}

/** The function's own name, or that of what it is given to. */
const nameOf = (node: ts.SignatureDeclaration): string => {
  if (node.name !== undefined) return node.name.getText()
  if (ts.isConstructorDeclaration(node)) return "constructor"
  for (let at: ts.Node = node.parent; !ts.isSourceFile(at) && !ts.isBlock(at); at = at.parent) {
    if (ts.isVariableDeclaration(at) || ts.isPropertyAssignment(at) || ts.isPropertyDeclaration(at))
      return at.name.getText()
  }
  return "(callback)"
}
