"""The hash of a loop's item, by which it is known again."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('django_runbook', '0002_runs'),
    ]

    operations = [
        migrations.AddField(
            model_name='steprun',
            name='item_hash',
            field=models.CharField(blank=True, help_text="Of the loop's item, with its secrets masked.", max_length=64),
        ),
    ]
