// The peer: fastify takes the upload, sharp decodes and resizes, onnxruntime-node runs ResNet-18.
//
//   node server.js PORT PROCESSES THREADS    threads of onnxruntime in each process
//
// It prints "listening" when every process serves.  POST /v1/embeddings with an image as the body.
'use strict'
const cluster = require('node:cluster')
const [port, processes, threads] = process.argv.slice(2).map(Number)

const SIZE = 224
const RESIZE = 256
const MEAN = [0.485, 0.456, 0.406]
const STD = [0.229, 0.224, 0.225]

if (cluster.isPrimary && processes > 1) {
  let ready = 0
  for (let i = 0; i < processes; i++) cluster.fork()
  cluster.on('message', () => { if (++ready === processes) console.log('listening') })
  process.on('SIGTERM', () => { for (const w of Object.values(cluster.workers)) w.kill('SIGKILL'); process.exit(0) })
} else {
  serve().then(() => (cluster.isPrimary ? console.log('listening') : process.send('ready')))
}

async function serve () {
  const fastify = require('fastify')({ bodyLimit: 64 << 20 })
  const sharp = require('sharp')
  const ort = require('onnxruntime-node')
  sharp.concurrency(1)
  sharp.cache(false)
  const session = await ort.InferenceSession.create(`${__dirname}/resnet18.onnx`,
    { intraOpNumThreads: threads, interOpNumThreads: 1, graphOptimizationLevel: 'all' })

  // As anchord: shrink while decoding, upright, shorter side to 256, middle 224 x 224, normalised.
  async function tensor (jpeg) {
    const { data, info } = await sharp(jpeg).rotate().resize(RESIZE, RESIZE, { fit: 'outside', kernel: 'linear' })
      .removeAlpha().toColourspace('srgb').raw().toBuffer({ resolveWithObject: true })
    return new ort.Tensor('float32', crop(data, info), [1, 3, SIZE, SIZE])
  }

  function crop (data, info) {
    const out = new Float32Array(3 * SIZE * SIZE)
    const left = (info.width - SIZE) >> 1
    const top = (info.height - SIZE) >> 1
    for (let c = 0; c < 3; c++) {
      const scale = 1 / (255 * STD[c])
      const shift = -MEAN[c] / STD[c]
      for (let y = 0; y < SIZE; y++) {
        let from = ((top + y) * info.width + left) * info.channels + c
        const to = (c * SIZE + y) * SIZE
        for (let x = 0; x < SIZE; x++, from += info.channels) out[to + x] = data[from] * scale + shift
      }
    }
    return out
  }

  fastify.addContentTypeParser(/^image\//, { parseAs: 'buffer' }, (request, body, done) => done(null, body))
  fastify.post('/v1/embeddings', async (request) => {
    const answer = await session.run({ pixels: await tensor(request.body) })
    return { object: 'list', data: [{ object: 'embedding', index: 0, embedding: Array.from(answer.embedding.data) }] }
  })
  await fastify.listen({ port, host: '127.0.0.1' })
}
