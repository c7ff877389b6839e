namespace MicroVm.Cli.Arguments;

/// <summary>What a mistyped word was probably meant to be.</summary>
internal static class Suggestion
{
    /// <summary>The nearest of <paramref name="known"/>; null if none is near: the one that it is the beginning of, else one slip in three letters.</summary>
    internal static string? For(ReadOnlySpan<char> word, string[] known)
    {
        word = word.TrimStart('-');
        string? best = null;
        int least = Math.Max(1, word.Length / 3) + 1;
        foreach (string candidate in known)
        {
            int distance = Distance(word, candidate);
            if (distance >= least) continue;
            (least, best) = (distance, candidate);
        }
        return OnlyBeginning(word, known) ?? best;
    }

    private static string? OnlyBeginning(ReadOnlySpan<char> word, string[] known)
    {
        string? found = null;
        foreach (string candidate in known)
        {
            if (word.Length < 2 || !candidate.AsSpan().StartsWith(word, StringComparison.Ordinal)) continue;
            if (found is not null) return null;
            found = candidate;
        }
        return found;
    }

    // Optimal string alignment: insert, delete, replace, swap of neighbours.
    private static int Distance(ReadOnlySpan<char> a, string b)
    {
        int[,] d = new int[a.Length + 1, b.Length + 1];
        for (int i = 0; i <= a.Length; i++) d[i, 0] = i;
        for (int j = 0; j <= b.Length; j++) d[0, j] = j;
        for (int i = 1; i <= a.Length; i++)
        {
            for (int j = 1; j <= b.Length; j++)
            {
                int cost = a[i - 1] == b[j - 1] ? 0 : 1;
                d[i, j] = Math.Min(Math.Min(d[i - 1, j] + 1, d[i, j - 1] + 1), d[i - 1, j - 1] + cost);
                bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if (swapped) d[i, j] = Math.Min(d[i, j], d[i - 2, j - 2] + 1);
            }
        }
        return d[a.Length, b.Length];
    }
}
