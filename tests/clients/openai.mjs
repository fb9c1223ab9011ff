// openai.mjs - OpenAI's client against a running server: models, embeddings, fine-tuning jobs with their events and checkpoints.
// PUBLIC and ADMIN are the listeners, KEY has the role admin, PICTURES is a folder of labelled folders, which `default` has.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';

let requests = 0; // retries too
const counted = (url, init) => (requests++, fetch(url, init));
const client = (base, apiKey = process.env.KEY) => new OpenAI({ baseURL: `${base}/v1`, apiKey, fetch: counted });
const user = client(process.env.PUBLIC), admin = client(process.env.ADMIN);
const jobs = admin.fineTuning.jobs;
const picture = (name) => `data:image/jpeg;base64,${readFileSync(`${process.env.PICTURES}/${name}.jpg`).toString('base64')}`;
const method = (type, hyperparameters) => ({ method: { type, [type]: { hyperparameters } } });
const all = async (pages) => { const out = []; for await (const item of pages) out.push(item); return out; };

// The error that a call ends in, and how many requests it took.
async function failure(call) {
  const before = requests;
  const error = await call().then(() => assert.fail('it went well'), (e) => e);
  return { error, requests: requests - before };
}

async function ended(id) {
  for (let i = 0; i < 1200; i++) {
    const job = await jobs.retrieve(id);
    if (!['queued', 'running'].includes(job.status)) return job;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  assert.fail(`job ${id} does not end`);
}

const tests = {
  async 'models are listed and retrieved'() {
    const models = await all(user.models.list());
    assert.ok(models.some((m) => m.id === 'tiny'));
    const one = await user.models.retrieve('tiny');
    assert.equal(one.object, 'model');
    assert.equal(one.dimensions, 64);
    assert.ok(Number.isInteger(one.created) && typeof one.owned_by === 'string');
  },

  async 'embeddings come as base64, which is the default, and as numbers'() {
    const input = [picture('flower/1'), picture('ball/1')];
    const packed = await user.embeddings.create({ model: 'tiny', input });
    const plain = await user.embeddings.create({ model: 'tiny', input, encoding_format: 'float' });
    assert.equal(packed.data.length, 2);
    for (const i of [0, 1]) {
      const a = Array.from(packed.data[i].embedding), b = plain.data[i].embedding;
      assert.equal(a.length, 64);
      assert.ok(a.every((x, k) => Math.abs(x - b[k]) < 1e-6));
      assert.ok(Math.abs(Math.hypot(...a) - 1) < 1e-5);
      assert.equal(packed.data[i].index, i);
    }
    const short = await user.embeddings.create({ model: 'tiny', input: input[0], dimensions: 8 });
    assert.equal(short.data[0].embedding.length, 8);
    assert.equal(short.model, 'tiny');
  },

  async 'errors become the classes of their status, and are asked once'() {
    const text = await failure(() => user.embeddings.create({ model: 'tiny', input: ['aGVsbG8='] }));
    assert.ok(text.error instanceof OpenAI.UnprocessableEntityError);
    assert.equal(text.error.param, 'input[0]');
    const none = await failure(() => user.models.retrieve('none'));
    assert.ok(none.error instanceof OpenAI.NotFoundError && none.error.code === 'not_found');
    const locked = await failure(() => client(process.env.PUBLIC, 'anch_AAAAAAAA_wrong').models.list());
    assert.ok(locked.error instanceof OpenAI.AuthenticationError);
    const elsewhere = await failure(() => user.fineTuning.jobs.list());
    assert.ok(elsewhere.error instanceof OpenAI.NotFoundError); // admin routes are on the admin listener only
    for (const f of [text, none, locked, elsewhere]) {
      assert.equal(f.requests, 1);
      assert.ok(f.error.requestID);
    }
  },

  async 'bad hyper-parameters are named'() {
    const bad = await failure(() => jobs.create({ model: 'tiny', training_file: 'default', ...method('triplet', { margin: -1 }) }));
    assert.ok(bad.error instanceof OpenAI.BadRequestError);
    assert.equal(bad.error.param, 'method.triplet.hyperparameters.margin');
    const missing = await failure(() => jobs.create({ model: 'tiny', training_file: 'nothing' }));
    assert.equal(missing.error.param, 'training_file');
  },

  async 'a job is created, followed through its pages and checkpoints, and makes a model'() {
    const made = await jobs.create({
      model: 'tiny', training_file: 'default', suffix: 'mine', seed: 7, promote: 'always',
      ...method('infonce', { n_epochs: 20, batch_size: 'auto', learning_rate: 0.003, temperature: 'auto' }),
    });
    assert.equal(made.object, 'fine_tuning.job');
    assert.ok(['queued', 'running'].includes(made.status));
    assert.equal(made.seed, 7);
    const job = await ended(made.id);
    assert.equal(job.status, 'succeeded', JSON.stringify(job));
    assert.equal(job.method.type, 'infonce');
    assert.ok(Number.isInteger(job.hyperparameters.batch_size));
    assert.ok(job.finished_at >= job.started_at && job.started_at >= job.created_at);
    assert.equal(job.error, null);

    const events = await all(jobs.listEvents(job.id, { limit: 2 })), whole = await jobs.listEvents(job.id, { limit: 100 });
    assert.deepEqual(events.map((e) => e.id), whole.data.map((e) => e.id));
    assert.equal(new Set(events.map((e) => e.id)).size, events.length);
    assert.equal(events[0].message, 'succeeded');
    assert.ok(events.some((e) => e.type === 'metrics' && typeof e.data === 'object'));
    assert.ok(events.every((e) => e.object === 'fine_tuning.job.event' && ['info', 'warn', 'error'].includes(e.level)));

    const points = await all(jobs.checkpoints.list(job.id, { limit: 1 }));
    assert.ok(points.length >= 2);
    assert.ok(points.every((p, i) => i === 0 || p.step_number < points[i - 1].step_number));
    assert.equal(points.at(-1).step_number, 0);
    assert.ok(points.every((p) => p.fine_tuning_job_id === job.id && typeof p.metrics === 'object'));
    if (job.fine_tuned_model) {
      assert.equal(job.fine_tuned_model, `mine-${job.id}`);
      assert.equal((await user.models.retrieve(job.fine_tuned_model)).id, job.fine_tuned_model);
    }

    const streamed = await all(await admin.get(`/fine_tuning/jobs/${job.id}/events`, { stream: true, headers: { accept: 'text/event-stream' } }));
    assert.deepEqual(streamed.slice(0, -1).map((e) => e.id), events.map((e) => e.id).reverse());
    assert.equal(streamed.at(-1).status, 'succeeded'); // `event: done`
  },

  async 'a job is cancelled, and a second time is a conflict that is not tried again'() {
    const made = await jobs.create({ model: 'tiny', training_file: 'default', ...method('triplet', { n_epochs: 5000, mining: 'semi_hard' }) });
    assert.ok((await jobs.cancel(made.id)).id === made.id);
    assert.equal((await ended(made.id)).status, 'cancelled');
    const again = await failure(() => jobs.cancel(made.id));
    assert.ok(again.error instanceof OpenAI.ConflictError);
    assert.equal(again.error.headers.get('x-should-retry'), 'false');
    assert.equal(again.requests, 1);
  },

  async 'jobs are listed page by page, newest first'() {
    const extra = await jobs.create({ model: 'tiny', training_file: 'default', ...method('triplet', { n_epochs: 5000 }) });
    await jobs.cancel(extra.id);
    const list = await all(jobs.list({ limit: 1 }));
    assert.equal(list.length, 3);
    assert.equal(new Set(list.map((j) => j.id)).size, 3);
    assert.ok(list.every((j, i) => i === 0 || j.created_at <= list[i - 1].created_at));
    await ended(extra.id);
  },
};

let failed = 0;
for (const [name, run] of Object.entries(tests)) {
  try {
    await run();
    console.log(`ok      ${name}`);
  } catch (e) {
    failed++;
    console.log(`FAILED  ${name}\n${e.stack}`);
  }
}
console.log(`${Object.keys(tests).length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
