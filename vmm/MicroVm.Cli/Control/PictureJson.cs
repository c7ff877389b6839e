using MicroVm.Diagnostics;
using MicroVm.Diagnostics.Explain;

namespace MicroVm.Cli.Control;

/// <summary>A picture as the control socket carries it: an object with an array for each section, in which each row is an object with the same members.</summary>
internal static class PictureJson
{
    internal static JsonMap Of(IReadOnlyList<Section> picture)
    {
        JsonMap json = new();
        foreach (Section section in picture)
        {
            JsonList rows = [];
            foreach (object?[] cells in section.Rows)
            {
                JsonMap row = new();
                for (int i = 0; i < cells.Length; i++) row[section.Columns[i]] = cells[i];
                rows.Add(row);
            }
            json[section.Name] = rows;
        }
        return json;
    }

    /// <summary>Back. Rows of a section that have other members than its first are left out: what answers may be another version.</summary>
    internal static List<Section> Read(object json)
    {
        List<Section> picture = [];
        if (json is not JsonMap map) return picture;
        foreach (string name in map.Names)
        {
            JsonList list = map[name] as JsonList ?? [];
            Section section = new(name, list.Count > 0 && list[0] is JsonMap first ? [.. first.Names] : []);
            foreach (object? row in list)
            {
                if (row is JsonMap cells && cells.Count == section.Columns.Count) section.Add([.. cells.Values]);
            }
            picture.Add(section);
        }
        return picture;
    }
}
