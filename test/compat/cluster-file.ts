/** Small cluster files for tests, in a folder of their own. */
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

// biome-ignore lint/suspicious/noExplicitAny: files are broken in every way.
export type Json = any

let folder: string | undefined

export const removeClusterFiles = (): void => {
  if (folder !== undefined) rmSync(folder, {recursive: true})
  folder = undefined
}

/** Writes a file and returns its path; the one before it is gone. */
export const clusterFile = (content: unknown): string => {
  folder ??= mkdtempSync(join(tmpdir(), 'llmsim-cluster-'))
  const path = join(folder, 'cluster.json')
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

export const instance = () => ({
  model_name: 'meta-llama/Llama-3.1-8B',
  hardware: 'RTX4090',
  npu_mem: {mem_size: 24, mem_bw: 1008, mem_latency: 0},
  num_npus: 1,
  tp_size: 1,
  pd_type: null,
})

export const clusterOf = (...instances: object[]) => ({
  num_nodes: 1,
  link_bw: 16,
  link_latency: 1000,
  nodes: [
    {
      num_instances: instances.length,
      cpu_mem: {mem_size: 64, mem_bw: 50, mem_latency: 7},
      instances,
    },
  ],
})
