"""Durations, the lock backend of a run, and the keys under which the work of batch commands has finished."""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('django_runbook', '0003_item_hash'),
    ]

    operations = [
        migrations.RenameField(
            model_name='checkpoint',
            old_name='run_key',
            new_name='call_key',
        ),
        migrations.AddField(
            model_name='checkpoint',
            name='run_key',
            field=models.CharField(blank=True, help_text='How --run-key names the work.', max_length=200),
        ),
        migrations.AddField(
            model_name='checkpoint',
            name='key_digest',
            field=models.CharField(blank=True, help_text='A digest of that, as no collation compares it.', max_length=64),
        ),
        migrations.AddField(
            model_name='run',
            name='duration_seconds',
            field=models.FloatField(help_text='How long its last attempt took, by a clock that is never set.', null=True),
        ),
        migrations.AddField(
            model_name='run',
            name='lock_backend',
            field=models.TextField(blank=True, help_text='What keeps the lock that tells whether it is running.'),
        ),
        migrations.AddField(
            model_name='steprun',
            name='duration_seconds',
            field=models.FloatField(help_text='How long the step took, by a clock that is never set: with all of its retries, in the last of them.', null=True),
        ),
        migrations.AddIndex(
            model_name='steprun',
            index=models.Index(fields=['run', 'id'], name='runbook_step_order'),
        ),
        migrations.CreateModel(
            name='FinishedKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(help_text='The same as that of the checkpoint.', max_length=64)),
                ('shard', models.CharField(blank=True, max_length=20)),
                ('command', models.CharField(max_length=150)),
                ('run_key', models.CharField(max_length=200)),
                ('key_digest', models.CharField(help_text='A digest of that, as no collation compares it.', max_length=64)),
                ('done_count', models.PositiveBigIntegerField(default=0)),
                ('failed_count', models.PositiveBigIntegerField(default=0)),
                ('finished_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('scope', 'key_digest', 'shard'), name='runbook_one_finished_key')],
            },
        ),
    ]
