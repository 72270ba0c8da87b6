// oclif lists commands in the order in which it happens to find them: sorted, the manifest changes only when they do.
import {readFileSync, writeFileSync} from 'node:fs'

const file = new URL('../oclif.manifest.json', import.meta.url)
const manifest = JSON.parse(readFileSync(file, 'utf8'))
const byId = ([a], [b]) => (a < b ? -1 : 1)
manifest.commands = Object.fromEntries(Object.entries(manifest.commands).sort(byId))
writeFileSync(file, JSON.stringify(manifest, null, 2))
