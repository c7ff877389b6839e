namespace MicroVm.Generators.Registers.Checks;

/// <summary>What a misspelled name may have meant.</summary>
internal static class Nearest
{
    public static string Advice(string name, IEnumerable<string> known)
    {
        string[] all = [.. known.Distinct(StringComparer.Ordinal).OrderBy(static k => k, StringComparer.Ordinal)];
        string? best = null;
        int distance = Math.Max(2, name.Length / 3) + 1;
        foreach (string candidate in all)
        {
            int d = Distance(name.ToLowerInvariant(), candidate.ToLowerInvariant());
            if (d >= distance) continue;
            (best, distance) = (candidate, d);
        }
        if (best is not null) return "did you mean '" + best + "'?";
        return all.Length switch
        {
            0 => "none is declared here",
            <= 8 => "there are '" + string.Join("', '", all) + "'",
            _ => "declare it or correct the name",
        };
    }

    private static int Distance(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int k = 1; k <= b.Length; k++)
            {
                int cost = Math.Min(Math.Min(row[k], row[k - 1]) + 1, diagonal + (a[i - 1] == b[k - 1] ? 0 : 1));
                (diagonal, row[k]) = (row[k], cost);
            }
        }
        return row[b.Length];
    }
}
