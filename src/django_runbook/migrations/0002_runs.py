"""Runs and their steps."""

import django.db.models.deletion
import django_runbook.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('django_runbook', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Run',
            fields=[
                ('id', models.CharField(max_length=32, primary_key=True, serialize=False)),
                ('runbook', models.CharField(help_text='The same for all releases of the project.', max_length=500)),
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
                ('kind', models.CharField(help_text='A command, a group, a loop, or a runbook that is called.', max_length=10)),
                ('group_ids', django_runbook.fields.JSONText(default=list)),
                ('argv', django_runbook.fields.JSONText(null=True)),
                ('status', models.CharField(default='running', max_length=20)),
                ('tolerated', models.BooleanField(default=False)),
                ('reason', models.TextField(blank=True)),
                ('exit_code', models.IntegerField(null=True)),
                ('error_type', models.TextField(blank=True)),
                ('message', models.TextField(blank=True)),
                ('traceback', models.TextField(blank=True)),
                ('warnings', django_runbook.fields.JSONText(default=list)),
                ('output_head', models.TextField(blank=True)),
                ('output_tail', models.TextField(blank=True)),
                ('left_out_count', models.PositiveBigIntegerField(default=0, help_text='Lines between the head and the tail.')),
                ('output', django_runbook.fields.JSONText(null=True)),
                ('is_output_secret', models.BooleanField(default=False)),
                ('done_count', models.PositiveBigIntegerField(null=True)),
                ('total_count', models.PositiveBigIntegerField(null=True)),
                ('failed_count', models.PositiveBigIntegerField(default=0)),
                ('definition', models.TextField(blank=True)),
                ('definition_hash', models.CharField(blank=True, max_length=64)),
                ('file', models.TextField(blank=True)),
                ('line', models.PositiveIntegerField(default=0)),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('run', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='steps', to='django_runbook.run')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('run', 'step_id', 'attempt'), name='runbook_one_attempt')],
            },
        ),
    ]
