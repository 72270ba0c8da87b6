#!/usr/bin/env node
// Writes index.json from the YAML files beside it. Run it after changing one (and after a build).
import {writeFile} from 'node:fs/promises'
import {indexText, modelFolder, readModelFolder} from '../dist/catalogue/model-index.js'

await writeFile(new URL('index.json', modelFolder), indexText(await readModelFolder(modelFolder)))
