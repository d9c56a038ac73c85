"""The tables of checkpoints and of rows that failed."""

import django.utils.timezone
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
                ('scope', models.CharField(help_text='A digest of the command and of what the cursor means.', max_length=64)),
                ('shard', models.CharField(blank=True, help_text='As in 1/8; empty where there is one only.', max_length=20)),
                ('command', models.CharField(max_length=150)),
                ('description', models.TextField(help_text='What the cursor runs through.')),
                ('run_key', models.CharField(blank=True, help_text="The runner's name for the call.", max_length=200)),
                ('owner', models.CharField(max_length=32)),
                ('holder', models.CharField(help_text='The owner, for people.', max_length=300)),
                ('start', models.TextField(blank=True, help_text='The cursor that it began with.')),
                ('cursor', models.TextField(blank=True, help_text='The key of the last row that is done.')),
                ('upper', models.TextField(blank=True, help_text='The key of the last row to do.')),
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
                ('key', models.TextField(help_text="The row's key, as the checkpoint writes it.")),
                ('name', models.TextField(help_text='The row, for people.')),
                ('error', models.TextField()),
                ('traceback', models.TextField(blank=True)),
                ('attempt_count', models.PositiveIntegerField(default=1)),
                ('failed_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('scope', 'key_digest'), name='runbook_one_failed_row')],
            },
        ),
    ]
