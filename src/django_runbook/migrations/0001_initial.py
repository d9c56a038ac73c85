"""The tables of checkpoints, failed rows, runs and steps."""

import django.db.models.deletion
import django.utils.timezone
import django_runbook.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Checkpoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(help_text='A digest of the command and of the options that define its work.', max_length=64)),
                ('shard', models.CharField(blank=True, help_text='For example 1/8; empty without shards.', max_length=20)),
                ('command', models.CharField(max_length=150)),
                ('description', models.TextField(help_text='The processed model or file.')),
                ('call_key', models.CharField(blank=True, help_text="The ID of the run and the step that called the command.", max_length=200)),
                ('run_key', models.CharField(blank=True, help_text='The value of --run-key.', max_length=200)),
                ('key_digest', models.CharField(blank=True, help_text='A digest of the run key, independent of collations.', max_length=64)),
                ('owner', models.CharField(max_length=32)),
                ('holder', models.CharField(help_text='A readable description of the owner.', max_length=300)),
                ('start', models.TextField(blank=True, help_text='The cursor at the start.')),
                ('cursor', models.TextField(blank=True, help_text='The key of the last processed row.')),
                ('upper', models.TextField(blank=True, help_text='The key of the last row to process.')),
                ('total_count', models.PositiveBigIntegerField(blank=True, help_text='The number of rows of this shard when the work started; empty without shards.', null=True)),
                ('batch_count', models.PositiveBigIntegerField(default=0)),
                ('done_count', models.PositiveBigIntegerField(default=0)),
                ('failed_count', models.PositiveBigIntegerField(default=0)),
                ('started_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('finished_at', models.DateTimeField(null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('scope', 'shard'), name='runbook_one_checkpoint')],
            },
        ),
        migrations.CreateModel(
            name='FailedRow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(max_length=64)),
                ('shard', models.CharField(blank=True, max_length=20)),
                ('command', models.CharField(max_length=150)),
                ('key_digest', models.CharField(help_text='A digest of the key, which may be too long for an index.', max_length=64)),
                ('key', models.TextField(help_text="The key of the row, in the format of a checkpoint.")),
                ('name', models.TextField(help_text='A readable description of the row.')),
                ('error', models.TextField()),
                ('traceback', models.TextField(blank=True)),
                ('attempt_count', models.PositiveIntegerField(default=1)),
                ('failed_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('scope', 'key_digest'), name='runbook_one_failed_row')],
            },
        ),
        migrations.CreateModel(
            name='FinishedKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(help_text='The scope of the checkpoint.', max_length=64)),
                ('shard', models.CharField(blank=True, max_length=20)),
                ('command', models.CharField(max_length=150)),
                ('run_key', models.CharField(max_length=200)),
                ('key_digest', models.CharField(help_text='A digest of the run key, independent of collations.', max_length=64)),
                ('done_count', models.PositiveBigIntegerField(default=0)),
                ('failed_count', models.PositiveBigIntegerField(default=0)),
                ('finished_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('scope', 'key_digest', 'shard'), name='runbook_one_finished_key')],
            },
        ),
        migrations.CreateModel(
            name='Run',
            fields=[
                ('id', models.CharField(max_length=32, primary_key=True, serialize=False)),
                ('runbook', models.CharField(help_text='A key that is the same in all releases of the project.', max_length=500)),
                ('name', models.TextField()),
                ('file', models.TextField()),
                ('file_hash', models.CharField(max_length=64)),
                ('git_commit', models.CharField(blank=True, max_length=64)),
                ('params', django_runbook.fields.JSONText(default=dict)),
                ('options', django_runbook.fields.JSONText(default=dict)),
                ('now', models.CharField(max_length=100)),
                ('status', models.CharField(default='running', max_length=20)),
                ('exit_code', models.SmallIntegerField(null=True)),
                ('reason', models.TextField(blank=True)),
                ('step_count', models.PositiveIntegerField(default=0)),
                ('attempt_count', models.PositiveIntegerField(default=1)),
                ('started_at', models.DateTimeField()),
                ('resumed_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('duration_seconds', models.FloatField(help_text='The duration of the last attempt, measured by a monotonic clock.', null=True)),
                ('lock_backend', models.TextField(blank=True, help_text='The backend of the lock that shows whether the run is alive.')),
                ('host', models.CharField(max_length=255)),
                ('pid', models.PositiveBigIntegerField()),
                ('user', models.CharField(blank=True, max_length=150)),
                ('owner', models.CharField(max_length=32)),
            ],
            options={
                'indexes': [models.Index(fields=['started_at'], name='runbook_run_started'), models.Index(fields=['runbook', 'started_at'], name='runbook_run_runbook'), models.Index(fields=['status', 'started_at'], name='runbook_run_status')],
            },
        ),
        migrations.CreateModel(
            name='StepRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('step_id', models.CharField(max_length=400)),
                ('attempt', models.PositiveIntegerField(default=1)),
                ('run_attempt', models.PositiveIntegerField(default=1)),
                ('name', models.TextField()),
                ('role', models.CharField(max_length=20)),
                ('kind', models.CharField(help_text='A command, a group, a loop or a nested runbook.', max_length=10)),
                ('group_ids', django_runbook.fields.JSONText(default=list)),
                ('argv', django_runbook.fields.JSONText(null=True)),
                ('status', models.CharField(default='running', max_length=20)),
                ('ignored', models.BooleanField(default=False)),
                ('reason', models.TextField(blank=True)),
                ('exit_code', models.IntegerField(null=True)),
                ('error_type', models.TextField(blank=True)),
                ('message', models.TextField(blank=True)),
                ('traceback', models.TextField(blank=True)),
                ('warnings', django_runbook.fields.JSONText(default=list)),
                ('output_head', models.TextField(blank=True)),
                ('output_tail', models.TextField(blank=True)),
                ('omitted_count', models.PositiveBigIntegerField(default=0, help_text='The number of lines between the head and the tail.')),
                ('output', django_runbook.fields.JSONText(null=True)),
                ('is_output_secret', models.BooleanField(default=False)),
                ('done_count', models.PositiveBigIntegerField(null=True)),
                ('total_count', models.PositiveBigIntegerField(null=True)),
                ('failed_count', models.PositiveBigIntegerField(default=0)),
                ('definition', models.TextField(blank=True)),
                ('definition_hash', models.CharField(blank=True, max_length=64)),
                ('item_hash', models.CharField(blank=True, help_text="A digest of the loop item, with its secrets masked.", max_length=64)),
                ('file', models.TextField(blank=True)),
                ('line', models.PositiveIntegerField(default=0)),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('duration_seconds', models.FloatField(help_text='The duration of the step, measured by a monotonic clock; the last attempt has that of all retries.', null=True)),
                ('run', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='steps', to='django_runbook.run')),
            ],
            options={
                'indexes': [models.Index(fields=['run', 'id'], name='runbook_step_order')],
                'constraints': [models.UniqueConstraint(fields=('run', 'step_id', 'attempt'), name='runbook_one_attempt')],
            },
        ),
    ]
