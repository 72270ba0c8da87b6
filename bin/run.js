#!/usr/bin/env node
import './node-version.js'
import {existsSync} from 'node:fs'
import {fileURLToPath} from 'node:url'

const installed = () => {
  try {
    return Boolean(import.meta.resolve('@oclif/core'))
  } catch {
    return false
  }
}

// A clone that was never built (`npx llmsim` or `npm i -g .` right after `git clone`) builds itself once.
const built = new URL('../dist/start.js', import.meta.url)
if (!existsSync(built) || !installed()) await import('./setup.js')

const {start} = await import(built.href)
await start(process.argv.slice(2), fileURLToPath(new URL('..', import.meta.url)))
